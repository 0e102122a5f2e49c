package pluginhost

import "time"

const (
	backoffMin  = 100 * time.Millisecond
	backoffMax  = 10 * time.Second
	forgetAfter = time.Minute // of health, and failed starts count no more
)

// backoff says how long to wait before a plugin is started again. Only starts
// that failed make it wait longer: a process that served and died is replaced
// at once, since waiting would add to what its death costs and save nothing.
type backoff struct {
	next time.Duration // the wait after the next failed start; 0 means backoffMin
}

// after gives the wait after a process that was well for a time, 0 for one that never was.
func (b *backoff) after(healthy time.Duration) time.Duration {
	if b.next == 0 || healthy >= forgetAfter {
		b.next = backoffMin
	}
	if healthy > 0 {
		return backoffMin
	}
	wait := b.next
	b.next = min(2*wait, backoffMax)
	return wait
}
