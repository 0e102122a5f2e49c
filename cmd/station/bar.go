package main

import (
	"io"
	"os"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/dbbasic/station/sdk/id"
)

// bar shows on a terminal how far an import is, and nothing anywhere else.
// What is written to it stands above the bar.
type bar struct {
	io.Writer
	all    *mpb.Progress // nil where there is no terminal
	bar    *mpb.Bar
	object atomic.Value // id.Object
}

// newBar gives a bar of that many bytes.
func newBar(stderr io.Writer, total int64) *bar {
	b := &bar{Writer: stderr}
	b.object.Store(id.Object(""))
	f, ok := stderr.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return b
	}
	b.all = mpb.New(mpb.WithOutput(f))
	b.Writer = b.all
	b.bar = b.all.AddBar(max(total, 1),
		mpb.PrependDecorators(decor.CountersKibiByte("% .1f / % .1f")),
		mpb.AppendDecorators(decor.Percentage(), decor.Any(func(decor.Statistics) string {
			object, _ := b.object.Load().(id.Object)
			return " " + string(object)
		})),
		mpb.BarRemoveOnComplete(),
	)
	return b
}

// set says how many bytes have been done, and of which object.
func (b *bar) set(object id.Object, sum int64) {
	if b.bar != nil {
		b.object.Store(object)
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
