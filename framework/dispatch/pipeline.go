package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbbasic/station/framework/metrics"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

// maxBatch is the most bytes of commits in one batch. One of more than largeCommit
// has a batch of its own, which others go before, at most so many batches of them.
const (
	maxBatch    = 16 << 20
	largeCommit = 1 << 20
	passing     = 8
)

// pending is a commit on its way to storage.
type pending struct {
	o      *object
	live   *live // the state that it builds on
	commit storage.Commit
	size   int

	done chan struct{} // closed once err is set
	err  error         // nil: durable

	answered bool  // err is set; guarded by o.mu, as is
	tasks    *task // those that have run and whose callers wait for it
}

// pipeline sends the commits of all objects to storage, one batch at a time;
// while one is on its way the next gathers. The order of an object's commits
// is the order in which they were added; but those of other objects go before a
// large commit, which may take storage most of a second.
type pipeline struct {
	store   Store
	cluster cluster.Cluster
	log     *slog.Logger
	limit   int
	counts  *metrics.Commits

	mu      sync.Mutex
	waiting []*pending
	bytes   int           // of waiting commits and those on their way
	passed  int           // batches that went before a large commit, since the last one of those
	sending bool          // a batch is on its way, and who hears of its end sends the next
	ended   chan struct{} // closed once nothing is on its way; nil until the pipeline is closed
}

// add hands over a commit, or refuses it where too much is waiting. Lead says that no
// batch is on its way: who called add sends one, holding no lock.
func (p *pipeline) add(c *pending) (lead bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != nil {
		return false, errs.New(errs.Unavailable, "stopping", "The station is stopping; nothing was changed.")
	}
	if p.bytes > 0 && p.bytes+c.size > p.limit {
		return false, errs.New(errs.Unavailable, "storage_behind", "The storage is behind with %d bytes of changes; nothing was changed. Try again shortly.", p.bytes)
	}
	p.bytes += c.size
	p.waiting = append(p.waiting, c)
	lead, p.sending = !p.sending, true
	return lead, nil
}

// close takes nothing more and waits for what is on its way. Its error is ctx's, where
// that ends first.
func (p *pipeline) close(ctx context.Context) error {
	p.mu.Lock()
	if p.ended == nil {
		p.ended = make(chan struct{})
		if !p.sending {
			close(p.ended)
		}
	}
	p.mu.Unlock()
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send sends what waits, batch by batch. Between two it waits for none: who brings the
// answer of one goes on with the next.
func (p *pipeline) send() {
	for batch := p.take(); batch != nil; batch = p.take() {
		if !p.begin(batch) {
			return
		}
	}
}

// take gives a batch of what waits. Where nothing does none is on its way any more.
func (p *pipeline) take() []*pending {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		p.sending = false
		if p.ended != nil {
			close(p.ended)
		}
		return nil
	}
	n, size := 0, 0
	for n < len(p.waiting) && p.waiting[n].size <= largeCommit && size+p.waiting[n].size <= maxBatch {
		size += p.waiting[n].size
		n++
	}
	if n == 0 { // a large one is first
		if p.passed++; p.passed <= passing {
			if batch := p.pass(); len(batch) > 0 {
				return batch
			}
		}
		n, p.passed = 1, 0
	}
	batch := p.waiting[:n:n]
	p.waiting = p.waiting[n:]
	return batch
}

// pass takes out a batch of the commits that are not large and not behind another of
// their own object.
func (p *pipeline) pass() (batch []*pending) {
	behind, size := map[*object]bool{}, 0
	var rest []*pending
	for _, c := range p.waiting {
		if behind[c.o] || c.size > largeCommit || size+c.size > maxBatch {
			behind[c.o] = true
			rest = append(rest, c)
			continue
		}
		batch, size = append(batch, c), size+c.size
	}
	p.waiting = rest
	return batch
}

// begin hands a batch to storage, and says whether its answer was there at once. Else
// who brings that goes on with what waits.
func (p *pipeline) begin(batch []*pending) bool {
	commits := make([]storage.Commit, len(batch))
	for i, c := range batch {
		commits[i] = c.commit
	}
	// No deadline: whether the batch landed is known only from storage's answer
	// or its death, and until then nothing may be loaded that it could still
	// change. Callers have deadlines of their own, and the limit bounds what waits.
	began := time.Now()
	var second atomic.Bool // of the two that come from here
	p.store.Begin(commits, func(results []error) {
		p.answered(batch, commits, results, time.Since(began))
		if second.Swap(true) {
			p.send()
		}
	})
	return second.Swap(true)
}

// answered tells everybody who waits for a batch what storage answered.
func (p *pipeline) answered(batch []*pending, commits []storage.Commit, results []error, took time.Duration) {
	durable := commits[:0]
	for i, c := range batch {
		if results[i] == nil {
			durable = append(durable, c.commit)
			continue
		}
		c.err = p.uncertain(&c.commit, results[i])
		p.fail(c)
	}
	p.counts.Batch(len(batch), len(durable), took)
	p.resolve(batch)
	if len(durable) > 0 {
		p.cluster.Publish(durable)
	}
}

// fail breaks the object of a commit that was not stored, and takes back the
// commits that were made on top of it and have not been sent.
func (p *pipeline) fail(c *pending) {
	c.o.fail(c.live, c.err)
	p.mu.Lock()
	kept := p.waiting[:0:0]
	var dropped []*pending
	for _, w := range p.waiting {
		if w.live == c.live {
			w.err = errs.Wrap(errs.Unavailable, "dispatch.Commit", c.err, "An earlier change of the object could not be stored, and this one builds on it; it was not stored. Try again.")
			dropped = append(dropped, w)
		} else {
			kept = append(kept, w)
		}
	}
	p.waiting = kept
	p.mu.Unlock()
	p.resolve(dropped)
}

// resolve tells those who wait that the outcome of commits is known. Their bytes
// count no more by then: nobody is refused for a change that was answered.
func (p *pipeline) resolve(list []*pending) {
	size := 0
	for _, c := range list {
		size += c.size
	}
	p.mu.Lock()
	p.bytes -= size
	p.mu.Unlock()
	for _, c := range list {
		logged := len(c.commit.Entries) > 0 // also where it is not known whether they are stored
		// The newest one of an object stays, maybe for long. Of what it holds
		// nobody reads more than the names of its uploads.
		c.commit.State, c.commit.Entries, c.commit.Version = nil, nil, nil
		c.o.resolved(c, logged)
	}
}

// uncertain gives the error of a commit as its callers get it: a 503, whatever
// storage called it. Only a kind that says "not stored" says so to them.
func (p *pipeline) uncertain(c *storage.Commit, err error) error {
	e := errs.From(err)
	switch e.Kind {
	case errs.Unavailable, errs.Unknown, errs.OutOfSequence, errs.StaleEpoch:
		return err
	case errs.Invalid, errs.TooLarge:
		if e.Code == "no_upload" { // storage was started again since the bytes came, or an hour has passed; or storage does not take it for what it gave
			p.log.Warn("uploaded bytes are gone", "object", c.Object, "request_id", c.RequestID, "error", err)
			return uploadLost("dispatch.Commit", err)
		}
		// The kernel made a commit that it should not have.
		p.log.Error("storage refused a commit", "object", c.Object, "sequence", c.Sequence, "request_id", c.RequestID, "error", err)
		return errs.Wrap(errs.Unavailable, "dispatch.Commit", err, "The storage refused the change; the station's log says why.")
	}
	return errs.Wrap(errs.Unknown, "dispatch.Commit", err, "The change was not acknowledged and may or may not have been stored.")
}

// sizeOf is about how many bytes a commit has on its way.
func sizeOf(c *storage.Commit) int {
	n := 128
	for i := range c.State {
		n += changeOverhead + len(c.State[i].Key) + len(c.State[i].Value)
	}
	for i := range c.Entries {
		n += changeOverhead + len(c.Entries[i].Message) + len(c.Entries[i].Fields)
	}
	for i := range c.Files {
		n += changeOverhead + len(c.Files[i].Name) + len(c.Files[i].Type)
	}
	if c.Version != nil {
		n += 256 + len(c.Version.Text)
	}
	return n
}
