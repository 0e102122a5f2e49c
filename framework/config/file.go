package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// maxFile is the most bytes of a file.
const maxFile = 64 << 10

// Find gives the path of the file that is read where none is named: FileName in the
// working directory, or nothing where there is none.
func Find() (string, error) {
	_, err := os.Stat(FileName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	}
	return FileName, nil
}

// read parses the file. It is empty where there is none, or where it cannot be read.
func (l *loader) read() *hclsyntax.Body {
	none := &hclsyntax.Body{}
	if l.file == "" {
		return none
	}
	text, err := readFile(l.file)
	if err != nil {
		l.problems = append(l.problems, Problem{At: l.file, Text: err.Error()})
		return none
	}
	return l.parse(text)
}

func (l *loader) parse(text []byte) *hclsyntax.Body {
	file, diags := hclsyntax.ParseConfig(text, l.file, hcl.InitialPos)
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		at := hcl.Range{Start: hcl.InitialPos}
		if d.Subject != nil {
			at = *d.Subject
		}
		l.wrong(at, "%s.", strings.TrimRight(d.Summary+": "+d.Detail, ". "))
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return &hclsyntax.Body{}
	}
	return body
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New(`there is no such file; "station init" writes one`)
	case err != nil:
		return nil, fmt.Errorf("the file cannot be read: %w", err)
	case !info.Mode().IsRegular(): // opening a pipe would wait for a writer
		return nil, errors.New("this is no regular file; name one with --config")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the file cannot be read: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("the file cannot be read: %w", err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("the file has more than %d KiB, which no station needs", maxFile>>10)
	}
	return text, nil
}
