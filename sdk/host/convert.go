package host

import (
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
)

func encodeFields(list []Field) []*pb.Field {
	if len(list) == 0 {
		return nil
	}
	out := make([]*pb.Field, len(list))
	for i, f := range list {
		out[i] = &pb.Field{Name: []byte(f.Name), Value: []byte(f.Value)}
	}
	return out
}

func decodeFields(list []*pb.Field) []Field {
	if len(list) == 0 {
		return nil
	}
	out := make([]Field, len(list))
	for i, m := range list {
		out[i] = Field{Name: string(m.GetName()), Value: string(m.GetValue())}
	}
	return out
}

func encodeCall(c *Call) *pb.HostCall {
	m := &pb.HostCall{
		Object: string(c.Object), Station: string(c.Station), Method: []byte(c.Method), Path: []byte(c.Path),
		Query: encodeFields(c.Query), Header: encodeFields(c.Header), Form: encodeFields(c.Form),
		Type: []byte(c.Type), Body: c.Body, RequestId: []byte(c.RequestID),
		User: c.Caller.User, Roles: c.Caller.Roles, DeadlineUs: shim.Micro(c.Deadline), Uploads: encodeUploaded(c.Uploads),
	}
	for _, o := range c.Chain {
		m.Chain = append(m.Chain, string(o))
	}
	return m
}

func decodeCall(m *pb.HostCall) Call {
	c := Call{
		Object: id.Object(m.GetObject()), Station: id.Station(m.GetStation()), Method: string(m.GetMethod()), Path: string(m.GetPath()),
		Query: decodeFields(m.GetQuery()), Header: decodeFields(m.GetHeader()), Form: decodeFields(m.GetForm()),
		Type: string(m.GetType()), Body: shim.Bytes(m.GetBody()), RequestID: string(m.GetRequestId()),
		Caller: id.Caller{User: m.GetUser(), Roles: m.GetRoles()}, Deadline: shim.FromMicro(m.GetDeadlineUs()),
		Uploads: decodeUploaded(m.GetUploads()),
	}
	for _, o := range m.GetChain() {
		c.Chain = append(c.Chain, id.Object(o))
	}
	return c
}

func encodeResult(r *Result) *pb.HostResult {
	return &pb.HostResult{Status: int32(r.Status), Header: encodeFields(r.Header), Body: r.Body, Station: string(r.Station), File: encodeFile(r.File)}
}

func decodeResult(m *pb.HostResult) Result {
	return Result{Status: int(m.GetStatus()), Header: decodeFields(m.GetHeader()), Body: shim.Bytes(m.GetBody()), Station: id.Station(m.GetStation()), File: decodeFile(m.GetFile())}
}

func encodeObjects(p ObjectsPage) *pb.HostObjects {
	m := &pb.HostObjects{More: p.More}
	for _, o := range p.Objects {
		m.Objects = append(m.Objects, &pb.HostObject{Object: string(o.Object), Path: o.Path, File: o.File, Version: o.Version})
	}
	return m
}

func decodeObjects(m *pb.HostObjects) ObjectsPage {
	p := ObjectsPage{More: m.GetMore()}
	for _, o := range m.GetObjects() {
		p.Objects = append(p.Objects, ObjectInfo{Object: id.Object(o.GetObject()), Path: o.GetPath(), File: o.GetFile(), Version: o.GetVersion()})
	}
	return p
}

func encodeState(p StatePage) *pb.HostState {
	m := &pb.HostState{More: p.More}
	for _, i := range p.Items {
		m.Items = append(m.Items, &pb.HostStateItem{Key: []byte(i.Key), Value: i.Value})
	}
	return m
}

func decodeState(m *pb.HostState) StatePage {
	p := StatePage{More: m.GetMore()}
	for _, i := range m.GetItems() {
		p.Items = append(p.Items, StateItem{Key: string(i.GetKey()), Value: shim.Bytes(i.GetValue())})
	}
	return p
}
