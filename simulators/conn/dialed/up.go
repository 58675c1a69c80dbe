package dialed

import "sync/atomic"

// Up counts the connections of a client that work: its owner hears of the first and of the last. It
// is safe for concurrent use.
type Up struct {
	// Tell is told "connect" and "disconnect"; nil tells nobody.
	Tell func(state string)

	n atomic.Int64
}

// Add counts one connection more, by 1, or one less, by -1.
func (u *Up) Add(change int64) {
	n := u.n.Add(change)
	switch {
	case u.Tell == nil:
	case change > 0 && n == 1:
		u.Tell("connect")
	case change < 0 && n == 0:
		u.Tell("disconnect")
	}
}
