package luahost

import (
	"context"
	"mime"
	"slices"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/storage"
)

// Files is what a VM needs of its object's files during a call. What the call
// has staged is seen. Methods that take a context may wait for storage until it
// ends. An error of any of them ends the call; the script cannot catch it.
type Files interface {
	// File gives a file without its bytes; ok is false where there is none.
	File(ctx context.Context, name string) (f storage.File, ok bool, err error)

	// EachFile yields the files in the order of their names' bytes, until yield
	// returns false; yield changes nothing.
	EachFile(ctx context.Context, yield func(f storage.File) bool) error

	// ReadFile gives the bytes of a file that is there.
	ReadFile(ctx context.Context, name string) ([]byte, error)

	// PutFile stages a file with these bytes. Errors: errs.Limit where the file,
	// the object's files or the staged writes would be too large or too many.
	PutFile(ctx context.Context, name, media, data string) (storage.File, error)

	// PutUpload stages a file with the bytes of an upload of the call, which may
	// become several files. Errors: as PutFile; errs.Unavailable where the upload is gone.
	PutUpload(ctx context.Context, name, media string, u host.Uploaded) (storage.File, error)

	// DeleteFile stages the removal of a file, also of one that is not there.
	DeleteFile(ctx context.Context, name string) error
}

// octets is the type of a file of which nobody has said one.
const octets = "application/octet-stream"

var fileFunctions = functions{
	"put": filesPut, "get": filesGet, "list": filesList, "delete": filesDelete,
	"exists": filesExists, "stat": filesStat, "response": filesResponse,
}

// ask has the object do something that may wait for storage, until the call must end. Then,
// or where it fails, the script ends.
func (vm *VM) ask(L *lua.LState, do func(ctx context.Context) error) {
	m := vm.meter
	ctx, cancel := context.WithDeadline(m.ctx, m.deadline)
	err := do(ctx)
	cancel()
	if m.err == nil {
		m.look(time.Now()) // why the call had to end is told rather than what that broke off
	}
	if err != nil {
		m.stop(errs.From(err))
	}
	m.raise(L)
}

// fileArg gives the first argument as a file's name.
func (vm *VM) fileArg(L *lua.LState, name string) string {
	s, ok := L.Get(1).(lua.LString)
	if !ok {
		L.RaiseError("%s: the name must be a string, not a %s", name, L.Get(1).Type())
	}
	if err := storage.CheckFileName(string(s)); err != nil {
		L.RaiseError("%s: %s", name, errs.From(err).Text())
	}
	vm.meter.charge(L, 64)
	return string(s)
}

// file gives what is known of a file.
func (vm *VM) file(L *lua.LState, name string) (f storage.File, ok bool) {
	vm.ask(L, func(ctx context.Context) (err error) {
		f, ok, err = vm.object.File(ctx, name)
		return err
	})
	return f, ok
}

// filesPut is put(name, bytes_or_upload, type) and gives what stat gives.
func filesPut(L *lua.LState) int {
	vm := session(L, "files")
	name := vm.fileArg(L, "files.put")
	media := mediaArg(L)
	var f storage.File
	switch v := L.Get(2).(type) {
	case lua.LString:
		vm.meter.charge(L, len(v)/16)
		if media == "" {
			media = octets
		}
		vm.ask(L, func(ctx context.Context) (err error) {
			f, err = vm.object.PutFile(ctx, name, media, string(v))
			return err
		})
	case *lua.LTable:
		u := vm.handle(v)
		if u == nil {
			L.RaiseError("files.put: the table is no upload of this call; take one from call.files")
		}
		if media == "" {
			media = u.Type
		}
		if media == "" {
			media = octets
		}
		vm.ask(L, func(ctx context.Context) (err error) {
			f, err = vm.object.PutUpload(ctx, name, media, *u)
			return err
		})
	default:
		L.RaiseError("files.put: the bytes must be a string or an upload, not a %s", L.Get(2).Type())
	}
	L.Push(fileRow(L, &f))
	return 1
}

// mediaArg gives the third argument as a media type; "" means that there is none.
func mediaArg(L *lua.LState) string {
	v := L.Get(3)
	if v == lua.LNil {
		return ""
	}
	s, ok := v.(lua.LString)
	if !ok {
		L.RaiseError("files.put: the type must be a string, not a %s", v.Type())
	}
	media, _, err := mime.ParseMediaType(string(s))
	if err != nil || !strings.Contains(media, "/") || storage.CheckMediaType(string(s)) != nil {
		L.RaiseError("files.put: the type must be a media type such as text/plain, not '%s'", clip(string(s), 64))
	}
	return string(s)
}

// filesGet is get(name): the bytes, nil where there is no such file.
func filesGet(L *lua.LState) int {
	vm := session(L, "files")
	name := vm.fileArg(L, "files.get")
	f, ok := vm.file(L, name)
	if !ok {
		L.Push(lua.LNil)
		return 1
	}
	if f.Size > int64(vm.limits.Memory) {
		vm.meter.fatal(L, errs.New(errs.Limit, "file_read_limit",
			"The file %q has %d bytes, and a script holds %d at most; answer with files.response to send it.", clip(name, 64), f.Size, vm.limits.Memory))
	}
	reserve(L, int(f.Size))
	var data []byte
	vm.ask(L, func(ctx context.Context) (err error) {
		data, err = vm.object.ReadFile(ctx, name)
		return err
	})
	L.Push(lua.LString(data))
	return 1
}

// filesList is list(): a row for each file, in the order of their names.
func filesList(L *lua.LState) int {
	vm := session(L, "files")
	m, rows := vm.meter, vm.list(0)
	vm.ask(L, func(ctx context.Context) error {
		return vm.object.EachFile(ctx, func(f storage.File) bool {
			if m.steps += 64; m.steps >= m.due {
				m.check()
			}
			rows.Append(fileRow(L, &f))
			return m.err == nil
		})
	})
	L.Push(rows)
	return 1
}

// filesDelete is delete(name).
func filesDelete(L *lua.LState) int {
	vm := session(L, "files")
	name := vm.fileArg(L, "files.delete")
	vm.ask(L, func(ctx context.Context) error { return vm.object.DeleteFile(ctx, name) })
	return 0
}

// filesExists is exists(name).
func filesExists(L *lua.LState) int {
	vm := session(L, "files")
	_, ok := vm.file(L, vm.fileArg(L, "files.exists"))
	L.Push(lua.LBool(ok))
	return 1
}

// filesStat is stat(name): what is known of the file, nil where there is none.
func filesStat(L *lua.LState) int {
	vm := session(L, "files")
	f, ok := vm.file(L, vm.fileArg(L, "files.stat"))
	if !ok {
		L.Push(lua.LNil)
		return 1
	}
	L.Push(fileRow(L, &f))
	return 1
}

// fileRow is a file as scripts see it.
func fileRow(L *lua.LState, f *storage.File) *lua.LTable {
	t := L.CreateTable(0, 5)
	t.RawSetString("name", lua.LString(f.Name))
	t.RawSetString("size", lua.LNumber(f.Size))
	t.RawSetString("type", lua.LString(f.Type))
	t.RawSetString("hash", lua.LString(f.Hash))
	t.RawSetString("time", lua.LNumber(seconds(f.Time)))
	return t
}

// fileAnswer is what files.response gives: the name of the file to answer with.
type fileAnswer string

var fileAnswerMeta = protected()

// filesResponse is response(name): a value to return. A file that is not there
// ends the call as fail(404, …) does.
func filesResponse(L *lua.LState) int {
	vm := session(L, "files")
	name := vm.fileArg(L, "files.response")
	if _, ok := vm.file(L, name); !ok {
		vm.meter.fatal(L, noFile(name))
	}
	L.Push(&lua.LUserData{Value: fileAnswer(name), Metatable: fileAnswerMeta})
	return 1
}

func noFile(name string) *errs.Error {
	e := errs.New(errs.Refused, "no_such_file", "There is no file %q.", clip(name, storage.MaxFileName))
	e.Status = 404
	return e
}

// fileResult answers with the file as it is when the call ends, nil where the
// value is no file.
func (vm *VM) fileResult(v lua.LValue) (*host.File, *errs.Error) {
	u, ok := v.(*lua.LUserData)
	if !ok {
		return nil, nil
	}
	name, ok := u.Value.(fileAnswer)
	if !ok {
		return nil, nil
	}
	f, ok, err := vm.object.File(vm.meter.ctx, string(name)) // response has looked: nothing is waited for
	if err != nil {
		return nil, errs.From(err)
	}
	if !ok {
		return nil, noFile(string(name))
	}
	return &host.File{Name: f.Name, Type: f.Type, Size: f.Size, Hash: f.Hash, Time: f.Time}, nil
}

// upload is one upload of the call with the table that a script has of it.
type upload struct {
	table *lua.LTable
	at    int // in Request.Call.Uploads
}

// uploads makes the tables of the call's uploads, in the order of the form.
func (vm *VM) uploads() lua.LValue {
	list := vm.list(len(vm.request.Call.Uploads))
	for i := range vm.request.Call.Uploads {
		u := &vm.request.Call.Uploads[i]
		t := vm.state.CreateTable(0, 4)
		t.RawSetString("field", lua.LString(u.Field))
		t.RawSetString("name", lua.LString(u.Name))
		t.RawSetString("type", lua.LString(u.Type))
		t.RawSetString("size", lua.LNumber(u.Size))
		vm.handles = append(vm.handles, upload{t, i})
		list.Append(t)
	}
	return list
}

// uploadFields gives field → its upload, the last of a repeated one.
func (vm *VM) uploadFields() lua.LValue {
	vm.once("uploads", (*VM).uploads)
	t := vm.state.CreateTable(0, len(vm.handles))
	for _, h := range vm.handles {
		t.RawSetString(vm.request.Call.Uploads[h.at].Field, h.table)
	}
	return t
}

// handle gives the upload that a table stands for, nil where it is none. Only
// the table itself counts: what a script writes into it changes nothing.
func (vm *VM) handle(t *lua.LTable) *host.Uploaded {
	i := slices.IndexFunc(vm.handles, func(h upload) bool { return h.table == t })
	if i < 0 {
		return nil
	}
	return &vm.request.Call.Uploads[vm.handles[i].at]
}
