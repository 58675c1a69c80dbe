package history

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"iter"
	"slices"
)

// Canonical yields every event in the order of Compare, so that two histories with the same events
// yield the same. Each event is the caller's own. Err tells afterwards whether the reading was
// complete.
func (r *Reader) Canonical(yield func(Event) bool) {
	var instant []Event // those of one time, which wait to be put in order
	flush := func() bool {
		slices.SortFunc(instant, func(a, b Event) int { return a.Compare(&b) })
		for _, e := range instant {
			if !yield(e) {
				return false
			}
		}
		instant = instant[:0]
		return true
	}
	for e := range r.Events {
		if len(instant) > 0 && instant[0].At != e.At && !flush() {
			return
		}
		instant = append(instant, *e)
	}
	flush()
}

// Digest is the SHA-256 of all events in the order of Compare, as their lines in JSON, in
// hexadecimal. In virtual time one program, file and seed give one digest.
func (r *Reader) Digest() (string, error) {
	sum := sha256.New()
	for e := range r.Canonical {
		line, err := e.MarshalJSON()
		if err != nil {
			return "", err
		}
		sum.Write(append(line, '\n'))
	}
	return hex.EncodeToString(sum.Sum(nil)), r.Err()
}

// FirstDifference is where two histories part, in the order of Compare: the first event of each that
// the other does not have there, nil for one that has ended. ok is false when they are the same.
func FirstDifference(a, b *Reader) (first, second *Event, ok bool, err error) {
	nextA, stopA := iter.Pull(iter.Seq[Event](a.Canonical))
	defer stopA()
	nextB, stopB := iter.Pull(iter.Seq[Event](b.Canonical))
	defer stopB()
	for {
		x, moreA := nextA()
		y, moreB := nextB()
		switch {
		case !moreA && !moreB:
			return nil, nil, false, errors.Join(a.Err(), b.Err())
		case moreA && moreB && x == y:
			continue
		}
		if moreA {
			first = &x
		}
		if moreB {
			second = &y
		}
		return first, second, true, errors.Join(a.Err(), b.Err())
	}
}
