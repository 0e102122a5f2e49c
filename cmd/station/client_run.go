package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// methods are those that an object may answer.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

func runCommand() *cobra.Command {
	var data string
	var include bool
	cmd := asks(&cobra.Command{
		Use:   "run ID [METHOD] [KEY=VALUE | KEY:=JSON | KEY@FILE]...",
		Short: "Call an object of a running station",
		Long: `Run calls an object and prints the body of its answer as the object sent it; on a
terminal JSON is indented. ID@STATION names the station too.

METHOD is GET where none is named, and POST with -d or a file. KEY=VALUE is a field of
the request, a text; KEY:=JSON is one of any type. GET, HEAD and OPTIONS send fields in
the query, which has texts only, and so does any method with -d; else they are a JSON body.
-d is a body of JSON: the text itself, @FILE, or - for the standard input.

KEY@FILE sends a file, which a script finds in call.files: the body is a form then, and
fields are texts in it. The ending of the name says its content type; "-" is the
standard input.

The exit code is 5 if the object answered with an error, its script failed or does
not load; 4 if the station has no such object. What the object itself answered is
printed then too.`,
		Example: `  station run tutorial_01_hello
  station run tutorial_02_hello_with_logging user_id=ada
  station run guestbook POST text="Hello!" -i
  station run echo POST a:='[1, 2]' b=text
  station run echo -d '{"a": {"b": null}}'
  station run basics_image_gallery image@cat.png`,
		Args:              minArgs(1),
		ValidArgsFunction: arguments(objectIDs, objectMethods),
	}, func(cmd *cobra.Command, station *client, args []string) error {
		r, files, err := callOf(cmd, args, data)
		defer func() {
			for _, f := range files {
				_ = f.file.Close() // it was only read
			}
		}()
		if err != nil {
			return err
		}
		end := func() {}
		if len(files) > 0 {
			r.body, end = progress(cmd.ErrOrStderr(), args[0], r.size, r.body)
		}
		resp, err := station.send(cmd.Context(), r)
		end()
		if err != nil {
			return err
		}
		defer resp.Body.Close() //nolint:errcheck // it was only read
		return station.printResult(cmd, resp, include)
	})
	cmd.Flags().StringVarP(&data, "data", "d", "", "`body` of JSON, @FILE for that of a file, - for the standard input")
	cmd.Flags().BoolVarP(&include, "include", "i", false, "print the status and the headers too")
	return cmd
}

// minArgs refuses fewer arguments.
func minArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := cobra.MinimumNArgs(n)(cmd, args); err != nil {
			return usageError{fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())}
		}
		return nil
	}
}

// callOf gives the request of a call, and the files that it sends, which are to be
// closed after an error too.
func callOf(cmd *cobra.Command, args []string, data string) (r request, files []attachment, err error) {
	path, err := objectPath(args[0])
	if err != nil {
		return request{}, nil, err
	}
	hasData := cmd.Flags().Changed("data")
	hasFiles := slices.ContainsFunc(args[1:], isAttachment)
	method, args := methodOf(args[1:], hasData || hasFiles)
	texts := slices.DeleteFunc(slices.Clone(args), isAttachment)
	fields, err := fieldsOf(texts, "neither a method ("+strings.Join(methods, ", ")+") nor KEY=VALUE, KEY:=JSON or KEY@FILE")
	if err != nil {
		return request{}, nil, err
	}
	bare := method == "GET" || method == "HEAD" || method == "OPTIONS"
	switch {
	case bare && hasData:
		return request{}, nil, usageError{fmt.Errorf("%s has no body, so -d cannot be sent with it", method)}
	case bare && hasFiles:
		return request{}, nil, usageError{fmt.Errorf("%s has no body, so no file can be sent with it: use POST or PUT", method)}
	case hasData && hasFiles:
		return request{}, nil, usageError{errors.New("a body is what -d says or a form with files: leave one of them out")}
	case hasFiles:
		if files, err = attachmentsOf(cmd, slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return !isAttachment(arg) })); err == nil {
			if err = notOwnFields(method, fields); err == nil {
				r, err = formBody(fields, files)
			}
		}
	case hasData:
		if r, err = dataOf(cmd, method, data, fields); err == nil {
			path, err = fieldsInQuery(path, method, "-d", fields)
		}
	case bare:
		path, err = fieldsInQuery(path, method, method, fields)
	case len(fields) > 0:
		if err = notOwnFields(method, fields); err == nil {
			r, err = fieldsInBody(fields)
		}
	}
	r.method, r.path = method, path
	return r, files, err
}

// methodOf takes the method from the front of arguments, in any case of letters.
func methodOf(args []string, body bool) (method string, rest []string) {
	if len(args) > 0 && slices.Contains(methods, strings.ToUpper(args[0])) {
		return strings.ToUpper(args[0]), args[1:]
	}
	if body {
		return "POST", args
	}
	return "GET", args
}

// field is one KEY=VALUE or KEY:=JSON.
type field struct {
	name  string
	text  string
	value json.RawMessage // nil for a text
}

// fieldsOf reads fields; otherwise says of what is none that it is that.
func fieldsOf(args []string, otherwise string) ([]field, error) {
	list := make([]field, 0, len(args))
	for _, arg := range args {
		name, text, ok := strings.Cut(arg, "=")
		if !ok || name == "" || name == ":" {
			return nil, usageError{fmt.Errorf("%q is %s", visible(arg, ""), otherwise)}
		}
		if !utf8.ValidString(arg) {
			return nil, usageError{fmt.Errorf("the field %q is not UTF-8, as texts are", visible(name, ""))}
		}
		f := field{name: name, text: text}
		if bare, isJSON := strings.CutSuffix(name, ":"); isJSON {
			if !json.Valid([]byte(text)) {
				return nil, usageError{fmt.Errorf("the value of %q is no JSON; a text is sent with %s=VALUE", visible(bare, ""), visible(bare, ""))}
			}
			f.name, f.value = bare, json.RawMessage(text)
		}
		list = append(list, f)
	}
	return list, nil
}

// commandsFor are the commands that do what the station does where the query of an object
// has one of its own parameters. The others are asked for with curl.
var commandsFor = map[string]string{
	"source": "source", "versions": "versions", "version": "source --version", "diff": "diff", "state": "state ls", "files": "files ls", "file": "files get",
	"logs": "logs", "tail": "logs -f", "export": "export", "import": "import", "object": "rm",
}

// notOwn refuses a field that the station would take for its own in the query alone.
func notOwn(method, with string, f field) error {
	does, own := ownParameter(method, f.name, f.text)
	if _, anywhere := ownField(method, f.name, f.text); !own || anywhere {
		return nil // what is one anywhere is notOwnFields' to refuse, which knows the body
	}
	use, instead := "", fmt.Sprintf("as JSON, with POST %s=%s", f.name, visible(f.text, ""))
	if command := commandsFor[f.name]; command != "" {
		use = fmt.Sprintf("use \"station %s\" for that, or ", command)
	}
	if with == "-d" {
		instead = "in the JSON of -d"
	}
	return usageError{fmt.Errorf("%s=%s in the query never reaches the object, since the station itself %s then: %ssend it %s", f.name, visible(f.text, ""), does, use, instead)}
}

// notOwnFields refuses a field that the station takes for its own wherever it is: in the
// query, in a form and in JSON. Of those with one name the last counts.
func notOwnFields(method string, fields []field) error {
	seen := map[string]bool{}
	for _, f := range slices.Backward(fields) {
		if seen[f.name] {
			continue
		}
		seen[f.name] = true
		text := f.text
		if f.value != nil && json.Unmarshal(f.value, &text) != nil {
			continue // no text
		}
		if does, own := ownField(method, f.name, text); own {
			return usageError{fmt.Errorf("%s=%s of a %s never reaches the object, since the station itself %s then: use \"station rollback\" for that", f.name, visible(text, ""), method, does)}
		}
	}
	return nil
}

// fieldsInQuery adds fields to a path. A repeated one is sent again.
func fieldsInQuery(path, method, with string, fields []field) (string, error) {
	sep := "?"
	for _, f := range fields {
		if f.value != nil {
			return "", usageError{fmt.Errorf("with %s fields are texts: write %s=VALUE", with, visible(f.name, ""))}
		}
		if err := notOwn(method, with, f); err != nil {
			return "", err
		}
		path += sep + url.QueryEscape(f.name) + "=" + url.QueryEscape(f.text)
		sep = "&"
	}
	return path, nil
}

func fieldsInBody(fields []field) (request, error) {
	body := map[string]any{}
	for _, f := range fields {
		if _, twice := body[f.name]; twice {
			return request{}, usageError{fmt.Errorf("%q is given twice, and a body has it once", visible(f.name, ""))}
		}
		if body[f.name] = f.text; f.value != nil {
			body[f.name] = f.value
		}
	}
	return jsonBody(body)
}

// dataOf gives the body that -d says, beside fields in the query.
func dataOf(cmd *cobra.Command, method, data string, query []field) (request, error) {
	text := []byte(data)
	if file, isFile := strings.CutPrefix(data, "@"); isFile || data == "-" {
		if !isFile {
			file = "-"
		}
		var err error
		if text, err = readInput(cmd, file); err != nil {
			return request{}, err
		}
	}
	var members map[string]json.RawMessage
	_ = json.Unmarshal(text, &members) // what is no object has none
	fields := slices.Clone(query)      // before those of the body, which count where both name one
	for name, value := range members {
		fields = append(fields, field{name: name, value: value})
	}
	if err := notOwnFields(method, fields); err != nil {
		return request{}, err
	}
	return jsonText(text), nil
}

// printResult prints what an object answered. An error of the station is one here;
// an error that the object answered is printed, and one too.
func (c *client) printResult(cmd *cobra.Command, resp *http.Response, include bool) error {
	out := cmd.OutOrStdout()
	if include {
		fmt.Fprintln(out, resp.Proto, visible(resp.Status, ""))
		for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
			fmt.Fprintf(out, "%s: %s\n", name, visible(strings.Join(resp.Header[name], ", "), ""))
		}
		fmt.Fprintln(out)
	}
	if resp.StatusCode < 400 {
		return printBody(cmd, resp, resp.Body)
	}
	own := &answerError{Status: resp.StatusCode, Text: "the object answered " + visible(resp.Status, ""), Object: true}
	if resp.Request.Method == http.MethodHead { // whose answer has no text
		own.Text, own.Object = "the answer is "+visible(resp.Status, ""), fromObject(resp)
		return own
	}
	raw, err := c.readAll(cmd.Context(), resp.Body, answerBytes)
	if err != nil {
		return err
	}
	if !fromObject(resp) || isFailure(raw) {
		return c.refusal(resp, raw)
	}
	if err := printBody(cmd, resp, bytes.NewReader(raw)); err != nil {
		return err
	}
	return own
}

// isFailure reports whether an answer is an error as the station writes them, and
// nothing else: a sentence says all of it.
func isFailure(raw []byte) bool {
	var f failure
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return d.Decode(&f) == nil && f.Status == "error" && f.Error != ""
}

// printBody prints the body of an answer: as it is or, to a terminal, so that people
// can read it.
func printBody(cmd *cobra.Command, resp *http.Response, body io.Reader) error {
	out := cmd.OutOrStdout()
	if !isTerminal(out) {
		_, err := io.Copy(out, body)
		return err
	}
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.ContentLength == 0 || resp.StatusCode == http.StatusNoContent || resp.Request.Method == http.MethodHead:
		return nil
	case err == nil && (media == "application/json" || strings.HasSuffix(media, "+json")):
		return printJSON(out, body)
	case err == nil && (strings.HasPrefix(media, "text/") || strings.HasSuffix(media, "+xml")):
		return printText(out, body)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "station: the answer, %s, is no text and is not shown on a terminal: send it to a file with > FILE\n", visible(cmp.Or(media, "of no type"), ""))
	return nil
}
