package badrequests

// ranges are parts of a file of ten bytes.
func ranges() []Request {
	all := each("Range", []string{"bytes=10-", "bytes=10-20", "bytes=100-", "bytes=9223372036854775807-", "bytes=5-4", "bytes=a-b", "bytes=-", "bytes=--1", "bytes=1-2-3", "bytes=0x0-1", "bytes=9223372036854775808-", "lines=0-1", "bytes", "bytes:0-1", "0-1", "=0-1"},
		func(text string) Request { return bad("", get("/objects/album", "Range: "+text), 416, "bad_range") })
	all = append(all, each("several ranges", []string{"bytes=0-1,2-3", "bytes=0-,0-,0-,0-", "bytes=,", "bytes=10-,20-", "bytes=x,y"}, func(text string) Request {
		return fine("", get("/objects/album", "Range: "+text), 200)
	})...)
	return append(all,
		fine("a range with a condition that does not hold", get("/objects/album", "Range: bytes=10-", "If-Range: \"x\""), 200),
		fine("a range in the file", get("/objects/album", "Range: bytes=9-"), 206),
		fine("the last bytes of more than there are", get("/objects/album", "Range: bytes=-20"), 206),
		bad("a condition that does not hold", get("/objects/album", "If-Match: \"x\""), 412, "precondition_failed"),
		bad("an old date", get("/objects/album", "If-Unmodified-Since: Mon, 01 Jan 2001 00:00:00 GMT"), 412, "precondition_failed"),
		fine("a date that is none", get("/objects/album", "If-Modified-Since: yesterday"), 200),
	)
}

// files are somebody else's pages.
func files() []Request {
	var all []Request
	for _, name := range []string{"evil.svg", "evil.html"} {
		all = append(all, Request{
			Name: name, Text: get("/objects/album?name=" + name), Status: 200,
			Header: map[string]string{
				"Content-Disposition": "attachment; filename=" + name, "X-Content-Type-Options": "nosniff",
				"Content-Security-Policy": "sandbox allow-forms allow-scripts",
			},
		})
	}
	return all
}
