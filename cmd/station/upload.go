package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// input is a file of this side, or the standard input, that is sent as it is read.
// What goes wrong with it is an *inputError, so that nobody blames the station.
type input struct {
	name string // "-" for the standard input
	size int64  // -1 if unknown
	r    io.Reader
	n    int64 // bytes that were read
	io.Closer
}

// inputError is a file that cannot be sent.
type inputError struct{ error }

// Unwrap gives the error itself.
func (e *inputError) Unwrap() error { return e.error }

// openInput opens a file, or the standard input where name is "-".
func openInput(cmd *cobra.Command, name string) (*input, error) {
	if name == "-" {
		return &input{name: name, size: -1, r: cmd.InOrStdin(), Closer: io.NopCloser(nil)}, nil
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s", name)
	}
	if err != nil {
		return nil, err
	}
	in := &input{name: name, size: -1, r: f, Closer: f}
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, errors.Join(err, f.Close())
	case info.IsDir():
		return nil, errors.Join(usageError{fmt.Errorf("%s is a folder: name a file", name)}, f.Close())
	case info.Mode().IsRegular() && info.Size() > 0: // one of the system says 0 and has more
		in.size = info.Size()
	}
	return in, nil
}

// Read implements io.Reader. A file that has grown is found out before its last bytes
// are given away, so that the station never has a part of it that looks whole.
func (in *input) Read(p []byte) (int, error) {
	n, err := in.r.Read(p)
	in.n += int64(n)
	if in.n == in.size && err == nil {
		var more [1]byte
		var m int
		if m, err = in.r.Read(more[:]); err == io.EOF {
			err = nil // and comes again
		}
		in.n += int64(m)
	}
	switch {
	case err != nil && err != io.EOF:
		return 0, &inputError{fmt.Errorf("%s cannot be read to its end, so that the station keeps nothing of it: %w", in.label(), plainPath(err))}
	case in.size >= 0 && (in.n > in.size || err != nil && in.n < in.size):
		return 0, &inputError{fmt.Errorf("%s has changed its size while it was sent, so that the station keeps nothing of it: send it again once it is left alone", in.label())}
	}
	return n, err
}

// label is what people are told of it.
func (in *input) label() string {
	if in.name == "-" {
		return "the standard input"
	}
	return in.name
}

// plainPath is an error of a file without the name.
func plainPath(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// mediaOf gives the content type that the ending of a name stands for.
func mediaOf(name string) string {
	return cmp.Or(mime.TypeByExtension(filepath.Ext(name)), "application/octet-stream")
}

// attachment is one KEY@FILE.
type attachment struct {
	key  string
	file *input
}

// isAttachment reports whether an argument is KEY@FILE and no KEY=VALUE.
func isAttachment(arg string) bool {
	i := strings.IndexAny(arg, "=@")
	return i >= 0 && arg[i] == '@'
}

// attachmentsOf opens the files of all KEY@FILE. They are to be closed, after an error too.
func attachmentsOf(cmd *cobra.Command, args []string) (list []attachment, err error) {
	inputs := 0
	for _, arg := range args {
		a, err := attach(cmd, arg)
		if err != nil {
			return list, err
		}
		list = append(list, a)
		if a.file.name == "-" {
			inputs++
		}
	}
	if inputs > 1 {
		return list, usageError{errors.New("the standard input can be sent once")}
	}
	return list, nil
}

func attach(cmd *cobra.Command, arg string) (attachment, error) {
	key, name, _ := strings.Cut(arg, "@")
	if key == "" || name == "" {
		return attachment{}, usageError{fmt.Errorf("%q is no KEY@FILE", visible(arg, ""))}
	}
	if !utf8.ValidString(key) || !utf8.ValidString(filepath.Base(name)) {
		return attachment{}, usageError{fmt.Errorf("%q is not UTF-8, as the names of files are that are sent", visible(arg, ""))}
	}
	file, err := openInput(cmd, name)
	if err != nil {
		return attachment{}, fmt.Errorf("%w (%s sends a file; a text is sent with KEY=VALUE)", err, visible(arg, ""))
	}
	return attachment{key, file}, nil
}

// formBody gives a request whose body is a form of fields and files, which are read
// as they are sent.
func formBody(fields []field, files []attachment) (request, error) {
	var text bytes.Buffer
	var parts []io.Reader
	r := request{header: map[string][]string{"Expect": {"100-continue"}}} // what the station refuses is not sent
	cut := func() {
		r.size += int64(text.Len())
		parts = append(parts, bytes.NewReader(bytes.Clone(text.Bytes())))
		text.Reset()
	}
	form := multipart.NewWriter(&text)
	for _, f := range fields {
		if f.value != nil {
			return request{}, usageError{fmt.Errorf("beside files fields are texts: write %s=VALUE", visible(f.name, ""))}
		}
		if err := form.WriteField(f.name, f.text); err != nil {
			return request{}, err
		}
	}
	known := true
	for _, f := range files {
		name := filepath.Base(f.file.name)
		if _, err := form.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {multipart.FileContentDisposition(f.key, name)},
			"Content-Type":        {mediaOf(name)},
		}); err != nil {
			return request{}, err
		}
		cut()
		parts = append(parts, f.file)
		known = known && f.file.size >= 0
		r.size += f.file.size
	}
	if err := form.Close(); err != nil {
		return request{}, err
	}
	cut()
	if !known {
		r.size = -1
	}
	r.body = io.MultiReader(parts...)
	r.header.Set("Content-Type", form.FormDataContentType())
	return r, nil
}
