package dispatch

import (
	"slices"
	"testing"
	"testing/synctest"
)

// TestSlotsAreForThoseWhoHaveNotRun: a script that gave its place up gets one again
// after so many others, and those come in the order of their arrival.
func TestSlotsAreForThoseWhoHaveNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, order := newSlots(1), []int(nil) // guarded by the one place
		if !s.try() || s.try() {
			t.Fatal("there is not one place")
		}
		const others = 40
		for n := range others {
			go func() {
				s.take(nil, nil)
				order = append(order, n)
				s.give()
			}()
			synctest.Wait()
		}
		var turns []int // how many others had run whenever the place came back
		for len(order) < others {
			s.pass()
			turns = append(turns, len(order))
		}
		if want := []int{17, 34, 40}; !slices.Equal(turns, want) {
			t.Errorf("the long script runs after %v others, want %v", turns, want)
		}
		if !slices.IsSorted(order) {
			t.Errorf("the others run in the order %v", order)
		}
		if s.pass(); s.held() != 1 {
			t.Error("who passes a place that nobody wants has none")
		}
		gone := make(chan struct{})
		close(gone)
		if s.take(gone, nil) {
			t.Error("who gave up has a place")
		}
		if s.give(); s.held() != 0 || !s.try() {
			t.Error("the place went to one who had given up")
		}
	})
}
