// Package policy holds resilience policies as a topology declares them: plain values, no behaviour.
//
// Simulators turn a policy into running code, checkers compare a history with it; both read the
// same value, so a promise has one meaning. It stands in the load step of load → plan → run →
// check → report, and imports nothing but the standard library.
package policy

import (
	"slices"
	"strconv"
	"time"
)

// Set is every policy that may stand on a step, a handler or under a name. A nil field means that
// the policy is not declared; nothing is implied. The zero value declares nothing.
type Set struct {
	Timeout    time.Duration // per attempt; 0 means no timeout of its own
	Retry      *Retry
	Breaker    *Breaker
	Bulkhead   *Bulkhead
	RateLimit  *RateLimit
	Fallback   *Fallback
	Dedupe     *Dedupe
	TTL        time.Duration // age after which a message is expired rather than handled; 0 is never
	DeadLetter *DeadLetter
}

// Retry bounds how often and when a failed operation is tried again.
type Retry struct {
	Attempts int     // tries in all, the first one counted; at least 1
	Backoff  Backoff // the pause between one failure's end and the next start
	// Permanent are reasons never tried again: "4xx", "5xx", "429", "schema", "auth", or a reason's
	// own word.
	Permanent []string
	// Channel is where a message waits for its next attempt (a retry topic): each further attempt of
	// a handler is a message of its own there, which says how many went before, so that neither a
	// crash nor a change of consumers resets the count, and later messages need not wait. "" is for
	// tries within the consumer that has the delivery.
	Channel string `json:",omitempty"`
}

// Backoff is an exponential pause: the n-th pause (n from 1) is Initial × Factor^(n-1), at most
// Max, then spread by ±Jitter (a share of the pause, 0 to 1). The zero value is no pause at all.
type Backoff struct {
	Initial time.Duration
	Factor  float64 // 1 is a constant pause; 0 is read as 1
	Max     time.Duration
	Jitter  float64
}

// Pause gives the bounds of the n-th pause, n counted from 1.
func (b Backoff) Pause(n int) (least, most time.Duration) {
	pause := b.nominal(n)
	spread := time.Duration(float64(pause) * b.Jitter)
	return max(0, pause-spread), pause + spread
}

// nominal is the n-th pause before jitter.
func (b Backoff) nominal(n int) time.Duration {
	factor := b.Factor
	if factor == 0 {
		factor = 1
	}
	pause := float64(b.Initial)
	for i := 1; i < n; i++ {
		pause *= factor
		if b.Max > 0 && pause >= float64(b.Max) {
			return b.Max
		}
	}
	if b.Max > 0 && pause > float64(b.Max) {
		return b.Max
	}
	return time.Duration(pause)
}

// Breaker opens after Failures failures within a window, refuses (or pauses) for Open, then lets
// one trial through.
type Breaker struct {
	Failures int
	Within   time.Duration
	Open     time.Duration
	// WhenOpen is "fail" (default): refuse at once, or "pause": hold the delivery until the breaker
	// lets a trial through.
	WhenOpen string
}

// Bulkhead bounds how many operations run at once, and how many may wait.
type Bulkhead struct {
	Concurrent int
	Waiting    int
}

// RateLimit is a bound on operations in a period; above it an HTTP handler answers 429.
type RateLimit struct {
	Count int
	Per   time.Duration
}

// Fallback answers in place of an operation that failed for good.
type Fallback struct {
	Value string // "cached": the last good answer; anything else is the answer itself
}

// Dedupe drops a message whose id was handled within Window. In names the store that remembers;
// empty means the replica's own memory, which a crash forgets.
type Dedupe struct {
	Window time.Duration
	In     string
}

// DeadLetter sends a message whose attempts are used up, or that was refused as permanent, to a
// channel of its own.
type DeadLetter struct {
	Attempts int    // handler attempts before a message is dead-lettered, the first one counted
	Channel  string // "" is the source channel's name with ".dead" behind it
	Dropped  bool   // as built only: the message is acknowledged and forgotten
	// Native leaves counting and moving to the broker: a failed message is given back, and the broker
	// itself dead-letters it after so many deliveries.
	Native bool `json:",omitempty"`
}

// Covers says whether a list of reasons names one: the reason itself, or the class of an HTTP status, as
// "4xx" names "404". It does not name "429", which tells to come back later.
func Covers(reasons []string, reason string) bool {
	if slices.Contains(reasons, reason) {
		return true
	}
	return StatusClass(reason) != "" && slices.Contains(reasons, StatusClass(reason))
}

// StatusClass is "4xx" or "5xx" for a reason that is an HTTP status, but 429, else "".
func StatusClass(reason string) string {
	status, err := strconv.Atoi(reason)
	switch {
	case err != nil || status == 429 || status < 400 || status > 599:
		return ""
	case status < 500:
		return "4xx"
	}
	return "5xx"
}
