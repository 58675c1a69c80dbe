package bubble

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	// frozenAfter is how long the virtual clock may stand still, in real time, before it is looked
	// at why.
	frozenAfter = 2 * time.Second
	look        = 100 * time.Millisecond
)

// watch waits for a bubble's end, or finds out that it will not come: that the clock stands still, or
// that something works on without ever letting it go on, though the context has ended. It lives
// outside and goes by real time.
func watch(ctx context.Context, s *state, over <-chan error) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	last, since := s.beats.Load(), time.Now()
	suspected := false
	for {
		select {
		case err := <-over:
			return err
		case <-tick.C:
		}
		if n := s.beats.Load(); n != last {
			last, since, suspected = n, time.Now(), false
			continue
		}
		if time.Since(since) < frozenAfter {
			continue
		}
		// One look may come between two steps of a bubble that works; two in a row do not.
		frozen := s.frozen(ctx.Err() != nil)
		if frozen == nil || !suspected {
			suspected = frozen != nil
			continue
		}
		frozen.At = time.Duration(last) * beat
		return frozen
	}
}

// FrozenError is a virtual clock that stood still: a goroutine waits in a way that the runtime cannot
// see through, so that time cannot go on to what it waits for.
type FrozenError struct {
	At      time.Duration // virtual time since the bubble began
	Waiting []Goroutine   // who waits so
	Holders []Goroutine   // who seems to hold what they wait for
	All     string        // every goroutine of the process
}

func (e *FrozenError) Error() string {
	text := fmt.Sprintf("the virtual clock stood still for %s at %s: ", frozenAfter, e.At)
	if len(e.Waiting) == 0 {
		return text + "nobody waits for a lock, and yet nothing goes on"
	}
	text += e.Waiting[0].String()
	if e.Waiting[0].State == socketWait {
		return text + "\n  it waits for a real socket: in virtual time neighbours are reached by the dialers " +
			"that code is given, and nothing outside is"
	}
	if len(e.Holders) > 0 {
		text += "\n  held, it seems, by " + e.Holders[0].String()
	}
	return text
}

// frozen says why no goroutine of the bubble can go on, nil when one of them works and may.
func (s *state) frozen(mustEnd bool) *FrozenError {
	all, text := stacks()
	all = of(s.number(), all)
	e := &FrozenError{All: text}
	for _, g := range all {
		switch {
		case g.working() && mustEnd:
			e.Waiting = append(e.Waiting, g)
		case g.working():
			return nil
		case !g.Durable:
			e.Waiting = append(e.Waiting, g)
		}
	}
	if len(e.Waiting) == 0 {
		return nil // between two instants
	}
	for _, g := range all {
		if g.Durable && e.holds(g) {
			e.Holders = append(e.Holders, g)
		}
	}
	return e
}

// holds says that a goroutine is within a method of such a thing as another waits to lock.
func (e *FrozenError) holds(g Goroutine) bool {
	return slices.ContainsFunc(e.Waiting, func(w Goroutine) bool {
		return w.Locks != "" && slices.Contains(g.Types, w.Locks)
	})
}
