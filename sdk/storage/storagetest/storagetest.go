// Package storagetest is the storage contract as a test suite without optional
// parts, and Memory, a store in memory that passes it and that other tests use
// where they need storage which can be delayed, failed or crashed.
//
// A storage plugin's own test is one line per way of opening it:
//
//	storagetest.Run(t, func(t *testing.T) storage.Storage { return New(…) })
//
// The suite sees a store from outside, through closing and opening it. It
// cannot see what a power cut does to it: each plugin tests that by itself.
package storagetest

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/plugintest"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// Maker gives a store that waits for Configure, as the kernel starts one. The
// suite configures it, closes it, and configures another with the same DataDir,
// which must show what was acknowledged before.
type Maker func(t *testing.T) storage.Storage

// Run runs the suite, one subtest per law, each on a fresh data folder. The flag
// -rapid.checks of the test says how often its properties are tried: 30 times by
// default, and 6 with the race detector.
func Run(t *testing.T, fresh Maker) {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", tries); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			c.run(newSubject(t, t, fresh))
		})
	}
	t.Run("Property", func(t *testing.T) { property(newSubject(t, t, fresh)) })
	t.Run("LogsProperty", func(t *testing.T) { logsProperty(newSubject(t, t, fresh)) })
}

// report is what a check tells its verdict to: a *testing.T, or in the tests
// of the suite itself a recorder.
type report interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// patience is how long the suite waits for what must happen: long enough for a machine
// that has other things to do. The tests of the suite itself are in a hurry.
func (s *subject) patience() time.Duration {
	if r, ok := s.report.(interface{ patience() time.Duration }); ok {
		return r.patience()
	}
	return time.Minute
}

// check is one law. Its run ends by report.Fatalf or by returning.
type check struct {
	name string
	run  func(s *subject)
}

var checks = []check{
	{"Info", checkInfo},
	{"Options", checkOptions},
	{"Figures", checkFigures},
	{"BootRises", checkBoot},
	{"UnknownObject", checkUnknown},
	{"RoundTrip", checkRoundTrip},
	{"LargeValue", checkLarge},
	{"Tombstones", checkTombstones},
	{"KeyOrder", checkKeyOrder},
	{"StateOrder", checkStateOrder},
	{"StatePages", checkStatePages},
	{"StateTombstones", checkStateTombstones},
	{"StatePagesWhileCommitting", checkStateWhileCommitting},
	{"StateSeesCommits", checkStateSees},
	{"StateBytes", checkStateBytes},
	{"StateBadQueries", checkStateBad},
	{"Sequences", checkSequences},
	{"FailedCommitFailsItsFollowers", checkFollowers},
	{"StaleEpoch", checkStale},
	{"Incarnations", checkIncarnations},
	{"IncarnationWithinBatch", checkIncarnationBatch},
	{"InvalidCommits", checkInvalid},
	{"EmptyBatch", checkEmptyBatch},
	{"Reopen", checkReopen},
	{"LogOrder", checkLogOrder},
	{"LogLevels", checkLogLevels},
	{"LogCursorsWhileAppending", checkLogCursors},
	{"LogBadQueries", checkLogBad},
	{"LogTimes", checkLogTimes},
	{"LogText", checkLogText},
	{"LogFields", checkLogFields},
	{"LogQueryBounds", checkLogBounds},
	{"LogRangeWhileAppending", checkLogRangeWhileAppending},
	{"LogPlaces", checkLogPlaces},
	{"LogPlacesWhileAppending", checkLogPlacesWhileAppending},
	{"Digest", checkDigest},
	{"Export", checkExport},
	{"ExportLarge", checkExportLarge},
	{"ImportRefused", checkImportRefused},
	{"ImportAgain", checkImportAgain},
	{"ImportedBoots", checkImportBoots},
	{"Versions", checkVersions},
	{"Working", checkWorking},
	{"Objects", checkObjects},
	{"EntryCounter", checkEntryCounter},
	{"ManyObjects", checkMany},
	{"ConcurrentReads", checkConcurrent},
	{"CallerOwnsSlices", checkOwnership},
	{"FilesRoundTrip", checkFilesRoundTrip},
	{"FilesLarge", checkFilesLarge},
	{"FilesReplaceAndDelete", checkFilesReplace},
	{"FilesList", checkFilesList},
	{"FilesFromAnOffset", checkFilesRange},
	{"Uploads", checkUploads},
	{"UploadsAreRead", checkReadUpload},
	{"UploadReaderError", checkReaderError},
	{"FilesClosedEarly", checkFilesClose},
	{"FilesConcurrentReads", checkFilesConcurrent},
	{"FilesInvalid", checkFilesInvalid},
	{"FilesIncarnations", checkFilesIncarnation},
	{"FilesAtomic", checkFilesAtomic},
	{"Closed", checkClosed},
}

// testStation is the station of every data folder of the suite.
const testStation id.Station = "st-1"

// subject is a store under test with what a check needs to drive it.
type subject struct {
	report
	storage.Storage // the open store

	t      *testing.T
	ctx    context.Context
	fresh  Maker
	config plugin.Config
	tick   uint64 // counts the stamps given out

	replaced stamps // of each object's keys
}

func newSubject(t *testing.T, r report, fresh Maker) *subject {
	s := &subject{report: r, t: t, ctx: t.Context(), fresh: fresh,
		replaced: stamps{}, config: plugin.Config{Station: testStation, DataDir: t.TempDir()}}
	s.open()
	return s
}

// open configures a fresh store, which is closed when the test ends.
func (s *subject) open() {
	s.t.Helper()
	s.Storage = configured(s.t, s.fresh(s.t), s.config)
}

func configured(t *testing.T, s storage.Storage, c plugin.Config) storage.Storage {
	t.Helper()
	if err := s.Configure(t.Context(), c); err != nil {
		t.Fatalf("Configure: %v", err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// under gives the same store to one run of a property, which r hears of.
func (s *subject) under(r report) *subject {
	out := *s
	out.report, out.replaced = r, stamps{}
	return &out
}

// reopen closes the store and opens it again over the same folder.
func (s *subject) reopen() {
	s.Helper()
	if err := s.Close(s.ctx); err != nil {
		s.Fatalf("Close: %v", err)
	}
	s.open()
}

func checkInfo(s *subject) {
	i := s.Info()
	if i.Name == "" || i.Kind != plugin.Storage {
		s.Errorf("Info() = %+v: want a name and kind %q", i, plugin.Storage)
	}
	if h := s.Health(s.ctx); !h.OK {
		s.Errorf("Health() = %+v after Configure, want OK", h)
	}
}

func checkOptions(s *subject) {
	c := s.config
	c.DataDir = s.t.TempDir()
	plugintest.CheckOptions(s.ctx, s, func() plugin.Plugin { return s.fresh(s.t) }, c)
}

func checkFigures(s *subject) {
	plugintest.CheckFigures(s.ctx, s, s.Storage, func() {
		for i := range uint64(3) {
			s.must(s.make("a", i+1))
		}
	})
}

func checkBoot(s *subject) {
	last := s.boot()
	if last.Number == 0 {
		s.Errorf("first boot is 0, want at least 1")
	}
	c := s.make("a", 1)
	c.State[0].Stamp.Time += 7 << 16 // a change made elsewhere, later than the commit
	s.must(c)
	for range 3 {
		s.reopen()
		b := s.boot()
		if b.Number <= last.Number {
			s.Errorf("boot %d after boot %d, want it to rise", b.Number, last.Number)
		}
		if b.High < c.State[0].Stamp.Time {
			s.Errorf("High = %d, want at least %d: the highest stamp stored", b.High, c.State[0].Stamp.Time)
		}
		last = b
	}
}

func checkUnknown(s *subject) {
	o := s.load("nobody")
	s.equal("Load of an unknown object", o, storage.Object{ObjectInfo: storage.ObjectInfo{Object: "nobody"}, Boot: s.boot().Number})
	s.equal("State of an unknown object", s.state(storage.StateQuery{Object: "nobody", Limit: 10}), storage.StatePage{})
	s.equal("Logs of an unknown object", s.logs(storage.LogsQuery{Object: "nobody", Limit: 10}), storage.LogsPage{})
	s.equal("Digest of an unknown object", s.digest("nobody"), storage.Digest{})
	s.equal("Versions of an unknown object", s.versions("nobody", 0, 10), []storage.Version(nil))
	_, err := s.Version(s.ctx, "nobody", 1)
	s.kind("Version of an unknown object", err, notFound)
	s.equal("Objects of an empty store", s.objects(storage.ObjectsQuery{Limit: 10}), []storage.ObjectInfo(nil))
}

func checkClosed(s *subject) {
	s.must(s.make("a", 1))
	if err := s.Close(s.ctx); err != nil {
		s.Fatalf("Close: %v", err)
	}
	for i, err := range s.Commit(s.ctx, []storage.Commit{s.make("a", 2), s.make("b", 1)}) {
		s.kind(fmt.Sprintf("Commit %d after Close", i), err, unavailable)
	}
	_, err := s.Boot(s.ctx)
	s.kind("Boot after Close", err, unavailable)
	_, err = s.Load(s.ctx, "a")
	s.kind("Load after Close", err, unavailable)
	_, err = s.State(s.ctx, storage.StateQuery{Object: "a", Limit: 1})
	s.kind("State after Close", err, unavailable)
	_, err = s.Logs(s.ctx, storage.LogsQuery{Object: "a", Limit: 1})
	s.kind("Logs after Close", err, unavailable)
	_, err = s.Objects(s.ctx, storage.ObjectsQuery{Limit: 1})
	s.kind("Objects after Close", err, unavailable)
	_, err = s.Export(s.ctx, "a")
	s.kind("Export after Close", err, unavailable)
	_, err = s.Import(s.ctx, "b", strings.NewReader(""))
	s.kind("Import after Close", err, unavailable)
	_, err = s.Digest(s.ctx, "a")
	s.kind("Digest after Close", err, unavailable)
	_, err = s.Versions(s.ctx, storage.VersionsQuery{Object: "a", Limit: 1})
	s.kind("Versions after Close", err, unavailable)
	_, err = s.Version(s.ctx, "a", 1)
	s.kind("Version after Close", err, unavailable)
	_, err = s.WriteFile(s.ctx, "a", strings.NewReader("x"))
	s.kind("WriteFile after Close", err, unavailable)
	s.kind("DropUpload after Close", s.DropUpload(s.ctx, "a", "1-1"), unavailable)
	_, _, err = s.ReadUpload(s.ctx, "a", "1-1")
	s.kind("ReadUpload after Close", err, unavailable)
	_, err = s.Files(s.ctx, storage.FilesQuery{Object: "a", Limit: 1})
	s.kind("Files after Close", err, unavailable)
	_, _, err = s.ReadFile(s.ctx, "a", "f", 0)
	s.kind("ReadFile after Close", err, unavailable)
	s.open()
	if got := s.load("a").Sequence; got != 1 {
		s.Errorf("sequence %d after closing and opening, want 1: nothing of what came after Close", got)
	}
}
