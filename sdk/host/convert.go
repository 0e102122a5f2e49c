package host

import (
	"time"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
	"github.com/dbbasic/station/sdk/storage"
)

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
