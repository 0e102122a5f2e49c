package host

import (
	"time"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
	"github.com/dbbasic/station/sdk/storage"
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
		FormToken: []byte(c.FormToken),
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
		Uploads: decodeUploaded(m.GetUploads()), FormToken: string(m.GetFormToken()),
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
	for _, names := range p.Methods {
		m.Methods = append(m.Methods, &pb.HostMethods{Names: names})
	}
	for _, o := range p.Objects {
		m.Objects = append(m.Objects, &pb.HostObject{Object: string(o.Object), Path: o.Path, File: o.File, Version: o.Version})
	}
	return m
}

func decodeObjects(m *pb.HostObjects) ObjectsPage {
	p := ObjectsPage{More: m.GetMore()}
	for _, o := range m.GetMethods() {
		p.Methods = append(p.Methods, o.GetNames())
	}
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

func encodeTests(r TestReport) *pb.HostTestReport {
	m := &pb.HostTestReport{Object: string(r.Object)}
	for i := range r.Tests {
		t := &r.Tests[i]
		out := &pb.HostTestResult{
			Name: []byte(t.Name), Outcome: string(t.Outcome), Reason: []byte(t.Reason), Code: t.Code, Line: int32(t.Line),
			Traceback: []byte(t.Traceback), DurationNs: int64(t.Duration), Omitted: int32(t.Omitted),
		}
		for _, e := range t.Log {
			out.Log = append(out.Log, &pb.HostTestEntry{
				TimeUs: shim.Micro(e.Time), Level: string(e.Level), Message: []byte(e.Message), Fields: e.Fields})
		}
		m.Tests = append(m.Tests, out)
	}
	return m
}

func decodeTests(m *pb.HostTestReport) TestReport {
	r := TestReport{Object: id.Object(m.GetObject())}
	for _, t := range m.GetTests() {
		out := TestResult{
			Name: string(t.GetName()), Outcome: TestOutcome(t.GetOutcome()), Reason: string(t.GetReason()), Code: t.GetCode(), Line: int(t.GetLine()),
			Traceback: string(t.GetTraceback()), Duration: time.Duration(t.GetDurationNs()), Omitted: int(t.GetOmitted()),
		}
		for _, e := range t.GetLog() {
			out.Log = append(out.Log, TestEntry{
				Time: shim.FromMicro(e.GetTimeUs()), Level: storage.Level(e.GetLevel()), Message: string(e.GetMessage()), Fields: shim.Bytes(e.GetFields())})
		}
		r.Tests = append(r.Tests, out)
	}
	return r
}
