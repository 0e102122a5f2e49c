package catalogue_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/framework/catalogue"
)

// Modules are what lies below lib, and nothing else is read.
func TestModules(t *testing.T) {
	dir := folder(t, "lib/util.lua", "lib/a/b.lua", "lib/no.dots.lua", "a.lua", "x/lib/c.lua")
	found, err := catalogue.Modules(dir)
	var names []string
	for _, m := range found {
		names = append(names, m.Module)
	}
	if err != nil || strings.Join(names, " ") != "a/b util" {
		t.Errorf("the modules are %q, %v", names, err)
	}
	if found, err := catalogue.Modules(folder(t, "a.lua")); err != nil || len(found) > 0 {
		t.Errorf("without lib there are %v, %v", found, err)
	}
}

// A path within the scripts folder names a part of it, under the ids that the
// station gives; any other is a folder of its own.
func TestFind(t *testing.T) {
	dir := folder(t, "a.lua", "shop/cart.lua", "shop/b/c.lua", "shop_cart.lua", "shops/d.lua", "lib/util.lua", "Upper.lua", "other.txt")
	elsewhere := folder(t, "x/y.lua", "z.lua", "z.txt")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, folder, want string }{
		{"", dir, "a a.lua, lib_util lib/util.lua, shop_b_c shop/b/c.lua, shop_cart shop/cart.lua, shops_d shops/d.lua, skipped Upper.lua, twice shop_cart.lua"},
		{dir, dir, "a a.lua, lib_util lib/util.lua, shop_b_c shop/b/c.lua, shop_cart shop/cart.lua, shops_d shops/d.lua, skipped Upper.lua, twice shop_cart.lua"},
		{link, dir, "a a.lua, lib_util lib/util.lua, shop_b_c shop/b/c.lua, shop_cart shop/cart.lua, shops_d shops/d.lua, skipped Upper.lua, twice shop_cart.lua"},
		{dir + "/shop", dir, "shop_b_c shop/b/c.lua, shop_cart shop/cart.lua, twice shop_cart.lua"},
		{dir + "/shop/../shop/b/", dir, "shop_b_c shop/b/c.lua"},
		{dir + "/a.lua", dir, "a a.lua"},
		{dir + "/shop_cart.lua", dir, "twice shop_cart.lua"},
		{dir + "/lib", dir, "lib_util lib/util.lua"},
		{dir + "/Upper.lua", dir, "skipped Upper.lua"},
		{elsewhere, elsewhere, "x_y x/y.lua, z z.lua"},
		{elsewhere + "/x", elsewhere + "/x", "y y.lua"},
		{elsewhere + "/x/y.lua", elsewhere + "/x", "y y.lua"},
	} {
		l, in, err := catalogue.Find(dir, c.path)
		if err != nil || in != c.folder {
			t.Errorf("%q: %v, folder %q, want %q", c.path, err, in, c.folder)
		}
		var got []string
		for _, s := range l.Scripts {
			got = append(got, string(s.Object)+" "+s.Path)
			if string(s.Text) != "-- "+s.Path && filepath.Dir(s.Path) != "." && in == dir {
				t.Errorf("%q: %s has the text %q", c.path, s.Path, s.Text)
			}
		}
		for _, s := range l.Skipped {
			got = append(got, "skipped "+s.Path)
		}
		for _, s := range l.Twice {
			got = append(got, "twice "+s.Path)
		}
		if d := cmp.Diff(c.want, strings.Join(got, ", ")); d != "" {
			t.Errorf("%q (-want +got):\n%s", c.path, d)
		}
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none.lua"):  "there is no file or folder",
		filepath.Join(dir, "other.txt"): "is not the script of an object", filepath.Join(elsewhere, "z.txt"): "does not end in .lua",
	} {
		if _, _, err := catalogue.Find(dir, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gave %v, want %q", path, err, want)
		}
	}
	if _, _, err := catalogue.Find(filepath.Join(dir, "none"), ""); err == nil || !strings.Contains(err.Error(), "there is no scripts folder") {
		t.Errorf("no folder gave %v", err)
	}
	if l, _, err := catalogue.Find(filepath.Join(dir, "none"), elsewhere); err != nil || len(l.Scripts) != 2 {
		t.Errorf("without a scripts folder another gave %v, %+v", err, l)
	}
}
