package storage

import (
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
)

func encodeStamp(s hlc.Stamp) *pb.Stamp {
	return &pb.Stamp{Time: uint64(s.Time), Station: string(s.Station)}
}

func decodeStamp(m *pb.Stamp) hlc.Stamp {
	return hlc.Stamp{Time: hlc.Time(m.GetTime()), Station: id.Station(m.GetStation())}
}

func encodeChange(c *StateChange) *pb.StateChange {
	m := &pb.StateChange{Key: []byte(c.Key), Value: c.Value, Deleted: c.Deleted, Stamp: encodeStamp(c.Stamp)}
	if c.Was != (hlc.Stamp{}) {
		m.Was = encodeStamp(c.Was)
	}
	return m
}

func decodeState(list []*pb.StateChange) []StateChange {
	if len(list) == 0 {
		return nil
	}
	out := make([]StateChange, len(list))
	for i, m := range list {
		out[i] = StateChange{Key: string(m.GetKey()), Value: shim.Bytes(m.GetValue()), Deleted: m.GetDeleted(), Stamp: decodeStamp(m.GetStamp()), Was: decodeStamp(m.GetWas())}
	}
	return out
}

func encodeStateQuery(q StateQuery) *pb.StoredStateQuery {
	return &pb.StoredStateQuery{Object: string(q.Object), Prefix: []byte(q.Prefix), After: []byte(q.After), Limit: int32(q.Limit)}
}

func decodeStateQuery(m *pb.StoredStateQuery) StateQuery {
	return StateQuery{Object: id.Object(m.GetObject()), Prefix: string(m.GetPrefix()), After: string(m.GetAfter()), Limit: int(m.GetLimit())}
}

func encodeStatePage(p StatePage) *pb.StoredState {
	m := &pb.StoredState{Next: []byte(p.Next), Items: make([]*pb.StateChange, len(p.Items))}
	for i := range p.Items {
		m.Items[i] = encodeChange(&p.Items[i])
	}
	return m
}

func decodeStatePage(m *pb.StoredState) StatePage {
	return StatePage{Items: decodeState(m.GetItems()), Next: string(m.GetNext())}
}

func encodeEntry(e *Entry) *pb.LogEntry {
	return &pb.LogEntry{
		Station: string(e.ID.Station), Boot: e.ID.Boot, Sequence: e.ID.Sequence,
		TimeUs: shim.Micro(e.Time), Level: string(e.Level), Message: []byte(e.Message), Fields: e.Fields,
	}
}

func decodeEntries(list []*pb.LogEntry) []Entry {
	if len(list) == 0 {
		return nil
	}
	out := make([]Entry, len(list))
	for i, m := range list {
		out[i] = Entry{
			ID:   id.Entry{Station: id.Station(m.GetStation()), Boot: m.GetBoot(), Sequence: m.GetSequence()},
			Time: shim.FromMicro(m.GetTimeUs()), Level: Level(m.GetLevel()), Message: string(m.GetMessage()), Fields: shim.Bytes(m.GetFields()),
		}
	}
	return out
}

func encodeDigest(d *Digest) *pb.DigestReply {
	b := make([]byte, 0, Buckets*sumSize)
	for _, s := range d.Buckets {
		b = s.appendRaw(b)
	}
	return &pb.DigestReply{Buckets: b}
}

// decodeDigest gives false for a reply of another size.
func decodeDigest(m *pb.DigestReply) (d Digest, ok bool) {
	b := m.GetBuckets()
	if len(b) != Buckets*sumSize {
		return d, false
	}
	for i := range d.Buckets {
		d.Buckets[i] = sumFrom(b[i*sumSize:])
		d.Sum.Add(d.Buckets[i])
	}
	return d, true
}

// EncodeVersion is for the shims of the sdk.
func EncodeVersion(v *Version) *pb.SourceVersion {
	m := &pb.SourceVersion{Number: v.Number, TimeUs: shim.Micro(v.Time), Author: []byte(v.Author), Message: []byte(v.Message), Hash: v.Hash, Text: v.Text}
	for _, u := range v.Uses {
		m.Uses = append(m.Uses, &pb.ModuleUse{Module: string(u.Module), Version: u.Version})
	}
	return m
}

// DecodeVersion is the reverse of EncodeVersion.
func DecodeVersion(m *pb.SourceVersion) *Version {
	v := &Version{
		Number: m.GetNumber(), Time: shim.FromMicro(m.GetTimeUs()), Author: string(m.GetAuthor()), Message: string(m.GetMessage()),
		Hash: m.GetHash(), Text: shim.Bytes(m.GetText()),
	}
	for _, u := range m.GetUses() {
		v.Uses = append(v.Uses, Use{Module: id.Object(u.GetModule()), Version: u.GetVersion()})
	}
	return v
}

func encodeFile(f *File) *pb.File {
	return &pb.File{
		Name: []byte(f.Name), Type: []byte(f.Type), Size: f.Size, Hash: []byte(f.Hash), TimeUs: shim.Micro(f.Time),
		Stamp: encodeStamp(f.Stamp), Deleted: f.Deleted,
	}
}

func decodeFile(m *pb.File) File {
	return File{
		Name: string(m.GetName()), Type: string(m.GetType()), Size: m.GetSize(), Hash: string(m.GetHash()), Time: shim.FromMicro(m.GetTimeUs()),
		Stamp: decodeStamp(m.GetStamp()), Deleted: m.GetDeleted(),
	}
}

func encodeUpload(u Upload) *pb.Upload {
	return &pb.Upload{Id: []byte(u.ID), Size: u.Size, Hash: []byte(u.Hash)}
}

func decodeUpload(m *pb.Upload) Upload {
	return Upload{ID: string(m.GetId()), Size: m.GetSize(), Hash: string(m.GetHash())}
}

func encodeFilesQuery(q FilesQuery) *pb.FilesQuery {
	return &pb.FilesQuery{
		Object: []byte(q.Object), Prefix: []byte(q.Prefix), After: []byte(q.After), Limit: int32(q.Limit), Tombstones: q.Tombstones,
	}
}

func decodeFilesQuery(m *pb.FilesQuery) FilesQuery {
	return FilesQuery{
		Object: id.Object(m.GetObject()), Prefix: string(m.GetPrefix()), After: string(m.GetAfter()), Limit: int(m.GetLimit()), Tombstones: m.GetTombstones(),
	}
}

func encodeInfo(o ObjectInfo) *pb.StoredObject {
	return &pb.StoredObject{Object: string(o.Object), Incarnation: o.Incarnation, Sequence: o.Sequence, Head: o.Head, Hash: o.Hash, Working: o.Working}
}

func decodeInfo(m *pb.StoredObject) ObjectInfo {
	return ObjectInfo{
		Object: id.Object(m.GetObject()), Incarnation: m.GetIncarnation(), Sequence: m.GetSequence(), Head: m.GetHead(), Hash: m.GetHash(),
		Working: m.GetWorking(),
	}
}

// EncodeVersionsQuery is for the shims of the sdk, whose host contract passes the same query.
func EncodeVersionsQuery(q VersionsQuery) *pb.VersionsQuery {
	return &pb.VersionsQuery{Object: string(q.Object), Before: q.Before, Limit: int32(q.Limit)}
}

// DecodeVersionsQuery is the reverse of EncodeVersionsQuery.
func DecodeVersionsQuery(m *pb.VersionsQuery) VersionsQuery {
	return VersionsQuery{Object: id.Object(m.GetObject()), Before: m.GetBefore(), Limit: int(m.GetLimit())}
}

// EncodeVersions is for the shims of the sdk.
func EncodeVersions(list []Version) *pb.VersionsReply {
	m := &pb.VersionsReply{}
	for i := range list {
		m.Versions = append(m.Versions, EncodeVersion(&list[i]))
	}
	return m
}

// DecodeVersions is the reverse of EncodeVersions.
func DecodeVersions(m *pb.VersionsReply) []Version {
	var list []Version
	for _, v := range m.GetVersions() {
		list = append(list, *DecodeVersion(v))
	}
	return list
}

// EncodeLogsQuery is for the shims of the sdk, whose host contract passes the same query.
func EncodeLogsQuery(q LogsQuery) *pb.LogsQuery {
	m := &pb.LogsQuery{
		Object: string(q.Object), Limit: int32(q.Limit), Oldest: q.Oldest, Cursor: []byte(q.Cursor),
		SinceUs: shim.Micro(q.Since), UntilUs: shim.Micro(q.Until), Text: []byte(q.Text), Places: q.Places,
	}
	for _, l := range q.Levels {
		m.Levels = append(m.Levels, []byte(l))
	}
	for _, f := range q.Fields {
		m.Fields = append(m.Fields, &pb.FieldFilter{Name: []byte(f.Name), Value: []byte(f.Value)})
	}
	return m
}

// DecodeLogsQuery is the reverse of EncodeLogsQuery.
func DecodeLogsQuery(m *pb.LogsQuery) LogsQuery {
	q := LogsQuery{
		Object: id.Object(m.GetObject()), Limit: int(m.GetLimit()), Oldest: m.GetOldest(), Cursor: string(m.GetCursor()),
		Since: shim.FromMicro(m.GetSinceUs()), Until: shim.FromMicro(m.GetUntilUs()), Text: string(m.GetText()), Places: m.GetPlaces(),
	}
	for _, l := range m.GetLevels() {
		q.Levels = append(q.Levels, Level(l))
	}
	for _, f := range m.GetFields() {
		q.Fields = append(q.Fields, FieldFilter{Name: string(f.GetName()), Value: string(f.GetValue())})
	}
	return q
}

// EncodeLogsPage is for the shims of the sdk.
func EncodeLogsPage(p LogsPage) *pb.LogsPage {
	m := &pb.LogsPage{Next: p.Next, Scanned: int32(p.Scanned), Entries: make([]*pb.LogEntry, len(p.Entries)), Cursors: p.Cursors, End: p.End}
	for i := range p.Entries {
		m.Entries[i] = encodeEntry(&p.Entries[i])
	}
	return m
}

// DecodeLogsPage is the reverse of EncodeLogsPage.
func DecodeLogsPage(m *pb.LogsPage) LogsPage {
	return LogsPage{Entries: decodeEntries(m.GetEntries()), Next: m.GetNext(), Scanned: int(m.GetScanned()), Cursors: m.GetCursors(), End: m.GetEnd()}
}
