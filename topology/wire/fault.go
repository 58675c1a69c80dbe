package wire

import (
	"fmt"
	"time"
)

// toxic is one toxic as Toxiproxy's API takes it.
type toxic struct {
	Name       string  `json:"name"`
	Type       string  `json:"type"`
	Stream     string  `json:"stream"`
	Toxicity   float32 `json:"toxicity"`
	Attributes any     `json:"attributes"`
}

// attributes are numbers and words in the library's units.
type attributes map[string]any

// Toxiproxy's words for the directions; upstream is away from the dialler.
const (
	upstream   = "upstream"
	downstream = "downstream"
)

// toxics are what puts the fault on a proxy, in the order of their adding: for each direction
// first the meter that counts what will be touched, then what touches it. Toxicity is 1 and there
// is no jitter, so nothing is left to chance. A cut has none.
func (f Fault) toxics(id string, marker Marker) ([]toxic, error) {
	effect, err := f.effect()
	if err != nil || effect.Type == "" {
		return nil, err
	}
	var all []toxic
	for _, way := range f.streams() {
		add := func(name, kind string, a attributes) {
			all = append(all, toxic{
				Name: id + "-" + name + "-" + way, Type: kind, Stream: way, Toxicity: 1, Attributes: a,
			})
		}
		switch counts := f.counts(way); counts {
		case "":
			effect.Attributes["marker"] = marker
		default:
			add("meter", meterType, attributes{"marker": marker, "counts": counts})
		}
		add(string(f.Kind), effect.Type, effect.Attributes)
	}
	return all, nil
}

// counts is what a meter before the fault counts; "" where the fault's own toxic counts.
func (f Fault) counts(way string) string {
	switch {
	case f.Kind == Timeout || f.Kind == LimitData:
		return ""
	case f.Kind == Reset:
		return countFirst
	case f.Kind == SlowClose && way == upstream:
		// Each connection's end comes by here once, whoever began it.
		return countCloses
	case f.Kind == SlowClose:
		return "nothing"
	}
	return countMarkers
}

func (f Fault) streams() []string {
	switch {
	case f.Kind == Reset || f.Kind == SlowClose:
		return []string{upstream, downstream}
	case f.Direction == Requests:
		return []string{upstream}
	case f.Direction == Replies:
		return []string{downstream}
	}
	return []string{upstream, downstream}
}

// effect is the toxic of the fault's kind, its numbers in Toxiproxy's units: whole milliseconds for
// latency and slow_close, whole kilobytes (1000 bytes) a second for bandwidth, rounded down so that
// the fault's number stays the most that passes, whole microseconds between a slicer's pieces.
// Numbers that the units cannot say are errors.
func (f Fault) effect() (effect struct {
	Type       string
	Attributes attributes
}, err error) {
	var kind string
	var a attributes
	switch f.Kind {
	case Latency:
		kind, a = "latency", attributes{"latency": f.Latency.Milliseconds(), "jitter": 0}
		err = wholeUnits(f.Latency, time.Millisecond, 1)
	case SlowClose:
		kind, a = "slow_close", attributes{"delay": f.Latency.Milliseconds()}
		err = wholeUnits(f.Latency, time.Millisecond, 1)
	case Bandwidth:
		kind, a = "bandwidth", attributes{"rate": f.BytesPerSecond / 1000}
		err = atLeast(f.BytesPerSecond, 1000, "bytes a second")
	case Slicer:
		kind, a = "slicer", attributes{
			"average_size": f.Bytes, "size_variation": 0, "delay": f.Latency.Microseconds(),
		}
		if err = atLeast(f.Bytes, 1, "bytes"); err == nil {
			err = wholeUnits(f.Latency, time.Microsecond, 0)
		}
	case LimitData:
		kind, a = limitType, attributes{"bytes": f.Bytes}
		err = atLeast(f.Bytes, 1, "bytes")
	case Timeout:
		kind, a = stallType, attributes{}
	case Reset:
		kind, a = "reset_peer", attributes{"timeout": 0}
	case Cut:
	default:
		err = fmt.Errorf("kind %q is not known", f.Kind)
	}
	effect.Type, effect.Attributes = kind, a
	return effect, err
}

// wholeUnits refuses a duration that is not a whole number of units, or fewer than least of them.
func wholeUnits(d, unit time.Duration, least int64) error {
	if d%unit != 0 || int64(d/unit) < least {
		return fmt.Errorf("latency %s is not possible: at least %d, in whole steps of %s",
			d, least, unit)
	}
	return nil
}

func atLeast(n, least int64, unit string) error {
	if n < least {
		return fmt.Errorf("%d %s is not possible: at least %d", n, unit, least)
	}
	return nil
}
