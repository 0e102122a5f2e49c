package main_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/net/html"
)

// scriptSubmit does what a browser does for somebody who opens a page, fills in
// a form and sends it off: the form is the first whose inputs have all the given
// fields, and among them those with a value of their own, such as hidden ones,
// have the given values. Its stdout is what the browser shows then.
func scriptSubmit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: submit PATH FIELD=VALUE|FIELD=@FILE...")
	}
	base, err := url.Parse(ts.Getenv("URL") + args[0])
	ts.Check(err)
	resp, err := http.Get(base.String())
	ts.Check(err)
	defer func() { _ = resp.Body.Close() }() // it is read to its end
	root, err := html.Parse(resp.Body)
	ts.Check(err)
	form := findForm(root, args[1:])
	if form == nil {
		ts.Fatalf("the page %s has no form for %q", args[0], args[1:])
	}
	action, err := base.Parse(attribute(form, "action"))
	ts.Check(err)
	req, err := http.NewRequest(strings.ToUpper(attribute(form, "method")), action.String(), nil)
	ts.Check(err)
	fields, files := formFields(form, args[1:])
	switch {
	case req.Method != http.MethodPost:
		req.Method, action.RawQuery = http.MethodGet, fields.Encode()
		req.URL = action
	case attribute(form, "enctype") == "multipart/form-data":
		setMultipart(ts, req, fields, files)
	default:
		setBody(req, fields.Encode(), "application/x-www-form-urlencoded")
	}
	sendFrom(ts, resp.Header.Get("Content-Security-Policy"), req)
}

// sendFrom sends what a page with this policy sends, and follows the answer.
func sendFrom(ts *testscript.TestScript, policy string, req *http.Request) {
	origin, site := req.URL.Scheme+"://"+req.URL.Host, "same-origin"
	if strings.Contains(policy, "sandbox") {
		if !strings.Contains(policy, "allow-forms") {
			ts.Fatalf("the page's policy %q lets it send no form", policy)
		}
		origin, site = "null", "cross-site"
	}
	header := func(r *http.Request) {
		r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
		r.Header.Set("Sec-Fetch-Site", site)
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Dest", "document")
	}
	if header(req); req.Method == http.MethodPost {
		req.Header.Set("Origin", origin)
	}
	c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(next *http.Request, _ []*http.Request) error { header(next); return nil }}
	show(ts, c, req)
}

// findForm finds the form that takes the fields.
func findForm(n *html.Node, given []string) *html.Node {
	if n.Type == html.ElementNode && n.Data == "form" && takes(n, given) {
		return n
	}
	for c := range n.ChildNodes() {
		if form := findForm(c, given); form != nil {
			return form
		}
	}
	return nil
}

func takes(form *html.Node, given []string) bool {
	for _, arg := range given {
		name, value, _ := strings.Cut(arg, "=")
		found := false
		for _, in := range inputs(form) {
			if own := attribute(in, "value"); attribute(in, "name") == name {
				fixed := attribute(in, "type") == "hidden" || in.Data == "button"
				found = found || !fixed || own == value
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// inputs gives the elements of a form that send something.
func inputs(form *html.Node) []*html.Node {
	var list []*html.Node
	for n := range form.Descendants() {
		if n.Type == html.ElementNode && (n.Data == "input" || n.Data == "textarea" || n.Data == "button" || n.Data == "select") {
			list = append(list, n)
		}
	}
	return list
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// formFields gives what the form sends: what is given, and what it holds itself
// but for buttons that nobody pressed.
func formFields(form *html.Node, given []string) (fields url.Values, files map[string]string) {
	fields, files = url.Values{}, map[string]string{}
	for _, arg := range given {
		name, value, _ := strings.Cut(arg, "=")
		if file, ok := strings.CutPrefix(value, "@"); ok {
			files[name] = file
		} else {
			fields.Set(name, value)
		}
	}
	for _, in := range inputs(form) {
		name := attribute(in, "name")
		if name == "" || in.Data == "button" || fields.Has(name) || files[name] != "" || attribute(in, "type") == "file" {
			continue
		}
		value := attribute(in, "value")
		if in.Data == "textarea" && in.FirstChild != nil {
			value = in.FirstChild.Data
		}
		fields.Set(name, value)
	}
	return fields, files
}

func setBody(req *http.Request, body, contentType string) {
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	req.Header.Set("Content-Type", contentType)
}

// setMultipart sends files with the type of no name, as a hostile client may.
func setMultipart(ts *testscript.TestScript, req *http.Request, fields url.Values, files map[string]string) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name := range fields {
		ts.Check(form.WriteField(name, fields.Get(name)))
	}
	for field, file := range files {
		part, err := form.CreateFormFile(field, file)
		ts.Check(err)
		_, err = io.WriteString(part, ts.ReadFile(file))
		ts.Check(err)
	}
	ts.Check(form.Close())
	setBody(req, body.String(), form.FormDataContentType())
}
