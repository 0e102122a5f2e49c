package host

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
)

// invoke is Host.Invoke, whose calls have a link for themselves. Its messages are those of
// host.proto, written and read without protobuf's structs between: a call has a field or
// three for each of its headers.
var invoke = shim.Method[Call, Result]{
	Name:   "host.Invoke",
	Req:    shim.Format[Call]{Size: sizeOfCall, Append: appendCall, Parse: parseCall},
	Result: shim.Format[Result]{Size: sizeOfResult, Append: appendResult, Parse: parseResult},
}

// perField is what a field takes beside its text, about.
const perField = 8

func sizeOfFields(lists ...[]Field) int {
	n := 0
	for _, list := range lists {
		for i := range list {
			n += len(list[i].Name) + len(list[i].Value) + perField
		}
	}
	return n
}

func appendFields(b []byte, field protowire.Number, list []Field) []byte {
	for i := range list {
		b = shim.AppendMessage(b, field, func(b []byte) []byte {
			return shim.AppendText(shim.AppendText(b, 1, list[i].Name), 2, list[i].Value)
		})
	}
	return b
}

func parseField(r *shim.Reader) (f Field) {
	m := r.Inner()
	for field := m.Next(); field != 0; field = m.Next() {
		switch field {
		case 1:
			f.Name = m.Word()
		case 2:
			f.Value = m.Word()
		default:
			m.Skip()
		}
	}
	r.Close(&m)
	return f
}

func sizeOfCall(c *Call) int {
	n := 16*perField + len(c.Object) + len(c.Station) + len(c.Method) + len(c.Path) + len(c.Type) + len(c.Body) + len(c.RequestID) +
		len(c.Caller.User) + len(c.FormToken) + sizeOfFields(c.Query, c.Header, c.Form)
	for _, r := range c.Caller.Roles {
		n += len(r) + perField
	}
	for _, o := range c.Chain {
		n += len(o) + perField
	}
	for i := range c.Uploads {
		u := &c.Uploads[i]
		n += len(u.Field) + len(u.Name) + len(u.Type) + len(u.Upload) + 6*perField
	}
	return n
}

func appendCall(b []byte, c *Call) ([]byte, error) {
	b = shim.AppendText(b, 1, c.Object)
	b = shim.AppendText(b, 2, c.Station)
	b = shim.AppendText(b, 3, c.Method)
	b = shim.AppendText(b, 4, c.Path)
	b = appendFields(b, 5, c.Query)
	b = appendFields(b, 6, c.Header)
	b = appendFields(b, 7, c.Form)
	b = shim.AppendText(b, 8, c.Type)
	b = shim.AppendText(b, 9, c.Body)
	b = shim.AppendText(b, 10, c.RequestID)
	b = shim.AppendText(b, 11, c.Caller.User)
	b = shim.AppendTexts(b, 12, c.Caller.Roles)
	b = shim.AppendTexts(b, 13, c.Chain)
	b = shim.AppendNumber(b, 14, uint64(shim.Micro(c.Deadline)))
	var err error
	for _, u := range encodeUploaded(c.Uploads) {
		if b, err = shim.AppendProto(b, 15, u); err != nil {
			return b, err
		}
	}
	return shim.AppendText(b, 16, c.FormToken), nil
}

func parseCall(b []byte) (c Call, err error) {
	r := shim.Reader{B: b}
	for field := r.Next(); field != 0; field = r.Next() {
		switch field {
		case 1:
			c.Object = id.Object(r.String())
		case 2:
			c.Station = id.Station(r.String())
		case 3:
			c.Method = r.Word()
		case 4:
			c.Path = r.String()
		case 5:
			c.Query = append(c.Query, parseField(&r))
		case 6:
			c.Header = append(c.Header, parseField(&r))
		case 7:
			c.Form = append(c.Form, parseField(&r))
		case 8:
			c.Type = r.Word()
		case 9:
			c.Body = r.Copy()
		case 10:
			c.RequestID = r.String()
		case 11:
			c.Caller.User = r.String()
		case 12:
			c.Caller.Roles = append(c.Caller.Roles, r.Word())
		case 13:
			c.Chain = append(c.Chain, id.Object(r.String()))
		case 14:
			c.Deadline = shim.FromMicro(int64(r.Number()))
		case 15:
			var m pb.HostUploaded
			r.Message(&m)
			c.Uploads = append(c.Uploads, decodeUploaded(&m))
		case 16:
			c.FormToken = r.String()
		default:
			r.Skip()
		}
	}
	return c, r.Err()
}

func sizeOfResult(res *Result) int {
	n := 4*perField + len(res.Body) + len(res.Station) + sizeOfFields(res.Header)
	if f := res.File; f != nil {
		n += len(f.Name) + len(f.Type) + len(f.Hash) + 6*perField
	}
	return n
}

func appendResult(b []byte, res *Result) ([]byte, error) {
	b = shim.AppendNumber(b, 1, uint64(int64(res.Status)))
	b = appendFields(b, 2, res.Header)
	b = shim.AppendText(b, 3, res.Body)
	b = shim.AppendText(b, 4, res.Station)
	if res.File == nil {
		return b, nil
	}
	return shim.AppendProto(b, 5, encodeFile(res.File))
}

func parseResult(b []byte) (res Result, err error) {
	r := shim.Reader{B: b}
	for field := r.Next(); field != 0; field = r.Next() {
		switch field {
		case 1:
			res.Status = int(int32(r.Number()))
		case 2:
			res.Header = append(res.Header, parseField(&r))
		case 3:
			res.Body = r.Copy()
		case 4:
			res.Station = id.Station(r.String())
		case 5:
			var m pb.HostFile
			r.Message(&m)
			res.File = decodeFile(&m)
		default:
			r.Skip()
		}
	}
	return res, r.Err()
}
