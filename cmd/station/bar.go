package main

import (
	"io"
	"sync"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/dbbasic/station/sdk/id"
)

// bar shows on a terminal how far something is, and nothing anywhere else. What is
// written to it stands above the bar.
type bar struct {
	io.Writer
	all   *mpb.Progress // nil where there is no terminal
	bar   *mpb.Bar
	label atomic.Value // string
}

// newBar gives a bar of that many bytes, -1 where nobody knows.
func newBar(stderr io.Writer, total int64) *bar {
	b := &bar{Writer: stderr}
	b.label.Store("")
	if !isTerminal(stderr) {
		return b
	}
	b.all = mpb.New(mpb.WithOutput(stderr))
	b.Writer = b.all
	label := decor.Any(func(decor.Statistics) string {
		text, _ := b.label.Load().(string)
		return " " + text
	})
	if total < 0 {
		b.bar = b.all.New(0, mpb.NopStyle(), mpb.PrependDecorators(decor.CurrentKibiByte("% .1f"), label), mpb.BarRemoveOnComplete())
		return b
	}
	b.bar = b.all.AddBar(max(total, 1),
		mpb.PrependDecorators(decor.CountersKibiByte("% .1f / % .1f")),
		mpb.AppendDecorators(decor.Percentage(), label),
		mpb.BarRemoveOnComplete(),
	)
	return b
}

// set says how many bytes have been done, and of which object.
func (b *bar) set(object id.Object, sum int64) {
	if b.bar != nil {
		b.label.Store(string(object))
		b.bar.SetCurrent(sum)
	}
}

// end removes the bar.
func (b *bar) end() {
	if b.bar != nil {
		b.bar.Abort(true)
		b.all.Wait()
	}
}

// progress shows how much of r has been read, of total bytes or -1. end removes the
// bar, and may be called again.
func progress(stderr io.Writer, label string, total int64, r io.Reader) (counted io.Reader, end func()) {
	b := newBar(stderr, total)
	b.label.Store(visible(label, ""))
	return &counter{b: b, r: r}, sync.OnceFunc(b.end)
}

// counter is a reader whose bar goes on with it.
type counter struct {
	b *bar
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.b.bar != nil {
		c.b.bar.SetCurrent(c.n)
	}
	return n, err
}
