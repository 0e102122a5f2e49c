package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/dbbasic/station/framework/catalogue"
	"github.com/dbbasic/station/sdk/id"
)

// Place says where the script of a new object lies. name is its path below the
// folder, with slashes and with or without .lua. An error says why there can be no
// such object: its id is malformed, or a script has it already.
func (s Scripts) Place(name string) (object id.Object, file string, err error) {
	name = strings.TrimSuffix(name, ".lua")
	object, module, err := catalogue.Name(name)
	switch {
	case err != nil:
		return "", "", err
	case module != "" || name == "lib":
		return "", "", errors.New("what lies below lib/ are modules: another folder makes an object")
	case path.Clean("/"+name) != "/"+name || strings.Contains(name, "/."):
		return "", "", fmt.Errorf("%q is not the path of a script: its folders have names, and none begins with a dot", name)
	}
	file = filepath.Join(s.Folder, filepath.FromSlash(name)+".lua")
	if _, err := os.Lstat(file); err == nil {
		return "", "", fmt.Errorf("%s exists already: choose another name", file)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	if _, err := os.Stat(s.Folder); errors.Is(err, fs.ErrNotExist) {
		return object, file, nil
	}
	found, err := catalogue.List(s.Folder)
	if err != nil {
		return "", "", err
	}
	for _, c := range found.Scripts {
		if c.Object == object {
			return "", "", fmt.Errorf("%s is the object %s already: choose another name", filepath.Join(s.Folder, c.Path), object)
		}
	}
	return object, file, nil
}
