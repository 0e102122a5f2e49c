package plugintest

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Fill sets every field of the struct that v points to, and of what it
// contains, to a value of its own that is not zero: a conversion that forgets a
// field, or mixes up two, cannot give the same struct back.
func Fill(t testing.TB, v any) {
	t.Helper()
	f := filler{t: t}
	f.fill(reflect.ValueOf(v).Elem(), "")
}

type filler struct {
	t testing.TB
	n int
}

func (f *filler) fill(v reflect.Value, path string) {
	f.t.Helper()
	f.n++
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.UnixMicro(int64(1_700_000_000_000_000 + f.n)).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text%d", f.n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(f.n))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(f.n))
	case reflect.Float64:
		v.SetFloat(float64(f.n) + 0.5)
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			f.fill(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Array:
		for i := range v.Len() {
			f.fill(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	default:
		f.t.Fatalf("Fill cannot set %s of type %s", path, v.Type())
	}
}

// RoundTrip checks that a conversion there and back keeps a value with every
// field set, and the zero value.
func RoundTrip[T any](t testing.TB, through func(T) T) {
	t.Helper()
	var v, zero T
	Fill(t, &v)
	if d := cmp.Diff(v, through(v)); d != "" {
		t.Errorf("%T (-sent +arrived):\n%s", v, d)
	}
	if d := cmp.Diff(zero, through(zero)); d != "" {
		t.Errorf("the zero %T (-sent +arrived):\n%s", v, d)
	}
}
