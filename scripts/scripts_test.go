package scripts_test

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"testing"

	"github.com/dbbasic/station/scripts"
)

// TestAllAreInside: every script of this folder is in the program, and nothing else. What
// is written about them is not.
func TestAllAreInside(t *testing.T) {
	list := func(files fs.FS) map[string][]byte {
		all := map[string][]byte{}
		err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || path.Ext(name) == ".go" || path.Ext(name) == ".md" {
				return err
			}
			all[name], err = fs.ReadFile(files, name)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	disk, inside := list(os.DirFS(".")), list(scripts.Files)
	if len(disk) == 0 || len(disk) != len(inside) {
		t.Errorf("%d files in the folder, %d in the program", len(disk), len(inside))
	}
	for name, text := range disk {
		if !bytes.Equal(text, inside[name]) {
			t.Errorf("%s is not in the program: name its folder in scripts.go", name)
		}
	}
}
