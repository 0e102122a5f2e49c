package transporttest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport"
)

// long is how long a follower waits that is to hear of nothing.
const long = 20 * time.Second

// soon is how long a follower waits that must hear of an entry at once.
func soon(t testing.TB) time.Duration { return min(patience(t)/3, long) }

// numbered is the entry of that number in a log.
func numbered(n int) storage.Entry {
	e := sample("a").Logs[1]
	e.ID.Sequence = uint64(n)
	return e
}

func numbers(entries []storage.Entry) (list []int) {
	for _, e := range entries {
		list = append(list, int(e.ID.Sequence))
	}
	return list
}

// checkFollow: what is in a log arrives from where it was asked for, each entry
// with a cursor that goes on behind it.
func checkFollow(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Add(sample("a"))
	kernel.Add(Data{Info: host.ObjectInfo{Object: "empty"}})
	l := sample("a").Logs
	for _, q := range []struct {
		read Read
		want []storage.Entry
	}{
		{Read{Last: 3, Limit: 3}, l[2:]},
		{Read{Last: 9, Limit: 5}, l},
		{Read{Since: l[3].Time, Limit: 2}, l[3:]},
		{Read{Last: 9, Levels: []storage.Level{storage.Info, storage.Error}, Limit: 2}, []storage.Entry{l[1], l[3]}},
		{Read{Last: 9, Text: "LINE 3", Limit: 1}, l[2:3]},
		{Read{Last: 9, Fields: []storage.FieldFilter{{Name: "n", Value: "4"}}, Limit: 1}, l[3:4]},
		{Read{Last: 1, Levels: []storage.Level{storage.Debug}, Limit: 1}, l[:1]},
	} {
		q.read.What, q.read.Object, q.read.Wait = Follow, "a", soon(t)
		got := read(t, c, q.read)
		if diff := cmp.Diff(q.want, got.Logs, cmpopts.EquateEmpty()); got.Status != 200 || diff != "" || len(got.Cursors) != len(got.Logs) {
			t.Fatalf("%+v: status %d, %d cursors, changed on the way (-want +got):\n%s", q.read, got.Status, len(got.Cursors), diff)
		}
		for i, cursor := range got.Cursors {
			behind := q.read
			behind.Cursor, behind.Limit = cursor, len(q.want)-1-i
			if behind.Limit == 0 {
				continue
			}
			if got := read(t, c, behind); !slices.Equal(numbers(got.Logs), numbers(q.want[i+1:])) {
				t.Fatalf("%+v gave the entries %v, want %v", behind, numbers(got.Logs), numbers(q.want[i+1:]))
			}
		}
	}
	for _, q := range []struct {
		read Read
		code string
	}{
		{Read{Object: "none"}, "no_such_object"}, {Read{Object: "A"}, "bad_object_id"}, {Read{Object: "a", Cursor: "none"}, "bad_cursor"},
	} {
		q.read.What, q.read.Limit = Follow, 1
		if got := read(t, c, q.read); got.Code != q.code || got.Status < 400 {
			t.Errorf("%+v gave %d %q, want %q", q.read, got.Status, got.Code, q.code)
		}
	}
	if n := kernel.WithoutDeadline(); n > 0 {
		t.Errorf("%d reads reached the host without a deadline", n)
	}
}

// following is a Read that goes on by itself.
type following struct {
	Reading
	err error
}

func follow(t testing.TB, c Client, r Read) <-chan following {
	ch := make(chan following, 1)
	r.What = Follow
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*patience(t))
		defer cancel()
		got, err := c.Read(ctx, r)
		ch <- following{got, err}
	}()
	return ch
}

// checkFollowWaits: an entry arrives when it is written, and nothing before.
func checkFollowWaits(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Add(Data{Info: host.ObjectInfo{Object: "a"}})
	var got Reading
	for wait := 50 * time.Millisecond; got.Next == "" && wait < patience(t); wait *= 2 { // a busy machine may not even begin in the first of them
		got = read(t, c, Read{What: Follow, Object: "a", Limit: 1, Wait: wait})
	}
	if got.Status != 200 || len(got.Logs) > 0 || got.Next == "" {
		t.Fatalf("an empty log gave %d %q, entries %v, next %q", got.Status, got.Code, numbers(got.Logs), got.Next)
	}
	for n := 1; n <= 3; n++ {
		waits := follow(t, c, Read{Object: "a", Cursor: got.Next, Limit: 1, Wait: soon(t)})
		eventually(t, "the host is asked", func() bool { return kernel.Following("a") > 0 })
		select {
		case f := <-waits:
			t.Fatalf("a follower did not wait for entry %d: %v, error %v", n, numbers(f.Logs), f.err)
		case <-time.After(20 * time.Millisecond):
		}
		kernel.Log("a", numbered(n))
		f := <-waits
		if f.err != nil || !slices.Equal(numbers(f.Logs), []int{n}) {
			t.Fatalf("entry %d did not come within %v: status %d %q, entries %v, error %v", n, soon(t), f.Status, f.Code, numbers(f.Logs), f.err)
		}
		got = f.Reading
	}
}

// checkFollowResumes: whoever goes on from where it was meets each entry once, also
// where the host could not answer meanwhile and the transport was started again.
func checkFollowResumes(t testing.TB, h Harness) {
	const entries = 60
	s := newStation(t, h)
	r := s.serve()
	s.host.Add(Data{Info: host.ObjectInfo{Object: "a"}})
	written := make(chan struct{})
	go func() {
		defer close(written)
		for n := 1; n <= entries; n++ {
			s.host.Log("a", numbered(n))
			if n%7 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	c := s.dial()
	var got []int
	cursor := ""
	for round, idle := 0, 0; len(got) < entries; round++ {
		if idle == 50 {
			t.Fatalf("after %d reads, %d of them in vain, there are %v", round, idle, got)
		}
		s.host.Down(round%5 == 4)
		if round == 8 {
			r.stop()
			r = s.serve()
			c = s.dial()
		}
		q := Read{What: Follow, Object: "a", Cursor: cursor, Last: entries, Limit: 1 + round%3, Wait: 100 * time.Millisecond}
		page := read(t, c, q)
		if page.Status != 200 && page.Status != 503 || len(page.Cursors) != len(page.Logs) {
			t.Fatalf("a follower got %d %q, and %d cursors of %d entries", page.Status, page.Code, len(page.Cursors), len(page.Logs))
		}
		idle++
		if keep := min(1+round%2, len(page.Logs)); keep > 0 { // not all: the connection broke behind them
			idle = 0
			got = append(got, numbers(page.Logs[:keep])...)
			cursor = page.Cursors[keep-1]
		}
	}
	<-written
	if want := span(1, entries); !slices.Equal(got, want) {
		t.Errorf("a follower that came back got %v", got)
	}
}

func span(from, to int) (list []int) {
	for n := from; n <= to; n++ {
		list = append(list, n)
	}
	return list
}

// checkFollowEnds: the end of an object, and that of the client, end what follows it.
func checkFollowEnds(t testing.TB, h Harness) {
	s := newStation(t, h)
	s.serve()
	c := s.dial()
	for _, object := range []id.Object{"deleted", "left"} {
		s.host.Add(Data{Info: host.ObjectInfo{Object: object}})
	}
	waits := follow(t, c, Read{Object: "deleted", Limit: 1, Wait: soon(t)})
	eventually(t, "the host is asked", func() bool { return s.host.Following("deleted") > 0 })
	s.host.Remove("deleted")
	if f := <-waits; f.err != nil || f.Code != "no_such_object" {
		t.Errorf("the follower of an object that is deleted got %d %q, error %v", f.Status, f.Code, f.err)
	}
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	gone := s.dial()
	left := make(chan struct{})
	go func() {
		defer close(left)
		_, _ = gone.Read(ctx, Read{What: Follow, Object: "left", Limit: 1, Wait: long})
	}()
	eventually(t, "the host is asked", func() bool { return s.host.Following("left") > 0 })
	leave()
	<-left
	gone.Close()
	most := soon(t) / 2 // less than the follower would wait by itself
	deadline := time.Now().Add(most)
	for s.host.Following("left") > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%v after its client went away a follower is there", most)
		}
		time.Sleep(time.Millisecond)
	}
}

// checkFollowStops: who follows does not hold up the end of the transport.
func checkFollowStops(t testing.TB, h Harness) {
	s := newStation(t, h)
	r := s.serve()
	s.host.Add(Data{Info: host.ObjectInfo{Object: "a"}})
	waits := follow(t, s.dial(), Read{Object: "a", Limit: 1, Wait: long})
	eventually(t, "the host is asked", func() bool { return s.host.Following("a") > 0 })
	r.cancel()
	most := min(patience(t), transport.DrainTime*3/4) // DrainTime is for calls in flight
	select {
	case <-waits:
	case <-time.After(most):
		t.Errorf("a follower is there %v after the end", most)
	}
	r.stop()
	if n := s.host.Following("a"); n > 0 {
		t.Errorf("%d followers are there after Serve has returned", n)
	}
}

// FollowBy is a Read that follows, for a Client whose protocol has a request for one
// page of what follows: it asks until there is enough.
func FollowBy(ctx context.Context, r Read, ask func(context.Context, Read) (Reading, error)) (Reading, error) {
	until, limit := time.Now().Add(r.Wait), r.Limit
	var all Reading
	for {
		page, err := ask(ctx, r)
		if err != nil || page.Code != "" {
			if len(all.Logs) > 0 {
				return all, nil
			}
			return page, err
		}
		page.Logs, page.Cursors = append(all.Logs, page.Logs...), append(all.Cursors, page.Cursors...)
		all = page
		r.Cursor, r.Last, r.Since, r.Wait = page.Next, 0, time.Time{}, time.Until(until)
		if r.Limit = limit - len(all.Logs); r.Limit <= 0 || r.Wait <= 0 {
			return all, nil
		}
	}
}
