package shim

import (
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
