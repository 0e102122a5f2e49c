package shim

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/plugin"
)

// TestConfigTravels sends every field, and options that are not UTF-8, as bytes.
func TestConfigTravels(t *testing.T) {
	for _, c := range []plugin.Config{
		{},
		{Station: "here", DataDir: "/data", Boot: 7, Options: map[string]string{"fsync": "never", "": "", "\xff": "a\xfe\n"}},
	} {
		b, err := proto.Marshal(encodeConfig(c))
		if err != nil {
			t.Fatal(err)
		}
		var m pb.PluginConfig
		if err := proto.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c, decodeConfig(&m)); d != "" {
			t.Errorf("(-sent +arrived):\n%s", d)
		}
	}
}

// TestInfoTravels sends every field that there is.
func TestInfoTravels(t *testing.T) {
	full := plugin.Option{Name: "n", Type: plugin.Integer, Default: "7", OneOf: []string{"a", "b"}, Min: -1, Max: 9, Doc: "A number."}
	for i, v := 0, reflect.ValueOf(full); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("the test does not set %s", v.Type().Field(i).Name)
		}
	}
	for _, i := range []plugin.Info{{}, {Name: "x", Kind: plugin.Transport, Version: "2", Options: plugin.Schema{full, {}}}} {
		if d := cmp.Diff(i, decodeInfo(encodeInfo(i))); d != "" {
			t.Errorf("(-sent +arrived):\n%s", d)
		}
	}
}

func TestFiguresTravel(t *testing.T) {
	list := []plugin.Figure{
		{Name: "n", Help: "\xffh", Type: plugin.Histogram, Label: "l", Bounds: []float64{0.5, 1}, Samples: []plugin.Sample{{Label: "a", Value: 1.5, Counts: []uint64{1, 2, 3}}, {Label: "b"}}},
		{},
	}
	if d := cmp.Diff(list, decodeFigures(encodeFigures(list))); d != "" {
		t.Errorf("(-sent +arrived):\n%s", d)
	}
	r := plugin.Runtime{Goroutines: 1, Heap: 2, Memory: 3, Collections: 4}
	if got := decodeRuntime(encodeRuntime(r)); got != r {
		t.Errorf("%+v arrived as %+v", r, got)
	}
}
