package storagetsv

import (
	"strconv"
	"sync"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// object is what the store keeps in memory of one object: its tip, and the
// commits that its files do not hold yet.
//
// files is taken before mu. files is held while the object's files are changed
// or opened; mu for moments, never across a file operation: Commit takes mu
// alone, and so waits for no disk but the journal's.
type object struct {
	id    id.Object
	files sync.Mutex

	mu      sync.Mutex
	tip     tip
	own     uint64   // the highest entry sequence of this boot and station
	pending []change // acknowledged, oldest first; elements are never changed
	held    uint64   // the incarnation whose data the files hold
	queued  bool     // the carrier knows of it
	merge   merge

	exports []*export // that are being written; guarded by files
	log     *logFiles // what is known of the log's files, or nil; guarded by files
	logDone int       // bytes of the pending log lines that the files hold already; guarded by files

	synced  *view    // what may be carried over, where the journal holds more; of the carrier alone
	carried tip      // what the files hold; of the carrier, which changes it with files held
	buckets *buckets // of what the files hold, between a carry-over and the checkpoint; guarded by files
	touched touch    // what the next checkpoint has to sync; of the carrier alone
	index   index    // what the carrier knows of index.tsv; of the carrier alone
	steps   [4]int   // per step of a carry-over that failed: of pending, how many are done; of the carrier alone
}

// change is one commit on its way from the journal to the files.
type change struct {
	incarnation uint64
	sequence    uint64
	sums        []bucketSum
	state       []storage.StateChange
	log         []byte // lines, as the log file will hold them
	version     *storage.Version
	files       []storage.FileChange
}

// view is a consistent picture of an object.
type view struct {
	tip
	own     uint64
	pending []change // of the tip's incarnation
	all     int      // how many pending commits there are, of any incarnation
	onDisk  bool     // the files hold data of this incarnation
}

// look gives a view. With o.files held, what the view calls pending is what the
// files do not hold.
func (o *object) look() view {
	o.mu.Lock()
	defer o.mu.Unlock()
	v := view{tip: o.tip, own: o.own, pending: o.pending, all: len(o.pending), onDisk: o.held == o.tip.incarnation}
	for len(v.pending) > 0 && v.pending[0].incarnation != v.incarnation {
		v.pending = v.pending[1:]
	}
	return v
}

func (o *object) statePath() string   { return o.levelPath(recent) }
func (o *object) digestPath() string  { return stateDir(o.id) + "/digest.tsv" }
func (o *object) logPath() string     { return "logs/" + string(o.id) + "/log.tsv" }
func (o *object) versionsDir() string { return "versions/" + string(o.id) }
func (o *object) versionsPath() string {
	return o.versionsDir() + "/metadata.tsv"
}

func versionPath(o *object, number uint64) string {
	return o.versionsDir() + "/" + versionFile(number)
}

func versionFile(number uint64) string { return "v" + strconv.FormatUint(number, 10) + ".lua" }

// touch says what of an object's files is not synced.
type touch struct{ state, digest, log, versions, files mark }

// mark says whether a file's content, and the names in its directory, have
// changed since they were synced.
type mark struct {
	data, names bool
	size        int64 // of the file behind what was last appended
}
