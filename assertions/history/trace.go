package history

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrNoMessage is a trace that was asked of a message which the history does not have.
var ErrNoMessage = errors.New("no such message")

// shortestTrace is how many hex digits of a trace id must be given at least.
const shortestTrace = 8

// Journey is the way of one message, hop by hop.
type Journey struct {
	Flow       string
	Number     int64
	Trace      [16]byte
	ParentFlow string // of a derived message
	Parent     int64  // −1 for none
	Depth      int    // 0 for the message from which all others derive
	Asked      bool   // this is the one that was asked for
	Hops       []Hop  // by the time they began
}

// ID is the message's CloudEvents id, "telemetry-17".
func (j *Journey) ID() string { return messageID(j.Flow, j.Number) }

// Hop is one stay of a message at a handler, or what its source or the audit did with it.
type Hop struct {
	Node     string
	Replica  int32
	Handler  string
	Via      string // the channel or wire it came by; "" at its source
	Delivery int32
	From, To time.Duration // since the run began; To is the last event's time
	Events   []Event       // in time order
}

// Trace tells the way of one message, with those of the messages from which it derives before it
// and of those derived from it behind it. The id is a message id, "telemetry-17", or a trace id in
// hex, of which at least 8 digits must be given and as many as make it the only one; where several
// messages share it, the earliest is meant. An error wraps ErrNoMessage when the history has no
// such message.
func Trace(r *Reader, id string) ([]Journey, error) {
	f := family{parents: map[ref]ref{}, children: map[ref][]ref{}}
	asked, err := f.find(r, id)
	if err != nil {
		return nil, fmt.Errorf("trace message %q: %w", id, err)
	}
	journeys := f.journeys(asked)
	at := map[ref]int{}
	for i := range journeys {
		at[ref{journeys[i].Flow, journeys[i].Number}] = i
	}
	for e := range r.Events {
		if i, ok := at[ref{e.Flow, e.Message}]; ok {
			journeys[i].observe(e)
		}
		if i, ok := at[ref{e.ParentFlow, e.Parent}]; ok && e.Kind == Derive {
			journeys[i].observe(e)
		}
	}
	return journeys, r.Err()
}

// ref names a message.
type ref struct {
	flow   string
	number int64
}

func (r ref) id() string { return messageID(r.flow, r.number) }

// family knows which message was born of which.
type family struct {
	parents  map[ref]ref
	children map[ref][]ref
}

// find reads a history for the message with an id, and all derivations on the way.
func (f *family) find(r *Reader, id string) (ref, error) {
	byID, isID := parseID(id)
	byTrace := strings.ToLower(id)
	isTrace := isTraceID(byTrace)
	if !isID && !isTrace {
		return ref{}, fmt.Errorf("it is neither \"flow-number\" nor at least %d hex digits of a "+
			"trace id: %w", shortestTrace, ErrNoMessage)
	}
	var traced []traceRef // the first message of each trace that fits, at most two
	var found bool
	for e := range r.Events {
		if e.Message < 0 {
			continue
		}
		m := ref{e.Flow, e.Message}
		if e.Kind == Derive {
			f.derive(m, ref{e.ParentFlow, e.Parent})
		}
		found = found || isID && m == byID
		if isTrace && len(traced) < 2 && hasPrefix(e.Trace, byTrace) &&
			(len(traced) == 0 || traced[0].trace != e.Trace) {
			traced = append(traced, traceRef{m, e.Trace})
		}
	}
	switch {
	case r.Err() != nil:
		return ref{}, r.Err()
	case found:
		return byID, nil
	case len(traced) == 0:
		return ref{}, ErrNoMessage
	case len(traced) > 1:
		return ref{}, fmt.Errorf("several messages fit, %s and %s among them: give more digits",
			traced[0].id(), traced[1].id())
	}
	return traced[0].ref, nil
}

type traceRef struct {
	ref
	trace [16]byte
}

func (f *family) derive(child, parent ref) {
	if _, ok := f.parents[child]; ok {
		return // a second birth of the same message, after a redelivery
	}
	f.parents[child] = parent
	f.children[parent] = append(f.children[parent], child)
}

// journeys are the empty journeys of a message and its family: its line up to the first parent,
// itself, and all that comes of it.
func (f *family) journeys(asked ref) (all []Journey) {
	line := []ref{asked}
	for {
		parent, ok := f.parents[line[0]]
		if !ok || slices.Contains(line, parent) {
			break
		}
		line = slices.Insert(line, 0, parent)
	}
	seen := map[ref]bool{}
	add := func(m ref, depth int) {
		seen[m] = true
		j := Journey{Flow: m.flow, Number: m.number, Parent: -1, Depth: depth, Asked: m == asked}
		if p, ok := f.parents[m]; ok {
			j.ParentFlow, j.Parent = p.flow, p.number
		}
		all = append(all, j)
	}
	for depth, m := range line {
		add(m, depth)
	}
	var descend func(m ref, depth int)
	descend = func(m ref, depth int) {
		for _, child := range f.children[m] {
			if !seen[child] {
				add(child, depth)
				descend(child, depth+1)
			}
		}
	}
	descend(asked, len(line))
	return all
}

// observe adds an event to the hop it belongs to: the latest stay at the same handler, unless it
// begins a new one.
func (j *Journey) observe(e *Event) {
	if e.Flow == j.Flow && e.Message == j.Number {
		j.Trace = e.Trace
	}
	for i := len(j.Hops) - 1; i >= 0 && e.Kind != Receive; i-- {
		h := &j.Hops[i]
		if h.Node == e.Node && h.Replica == e.Replica && h.Handler == e.Handler &&
			(h.Delivery == e.Delivery || e.Delivery == 0) {
			h.Events = append(h.Events, *e)
			h.To = time.Duration(e.At)
			return
		}
	}
	h := Hop{Node: e.Node, Replica: e.Replica, Handler: e.Handler, Delivery: e.Delivery,
		From: time.Duration(e.At), To: time.Duration(e.At), Events: []Event{*e}}
	if e.Kind == Receive {
		h.Via = e.Channel
		if h.Via == "" {
			h.Via = e.Wire
		}
	}
	j.Hops = append(j.Hops, h)
}

// parseID splits "telemetry-17" at its last hyphen.
func parseID(id string) (ref, bool) {
	i := strings.LastIndexByte(id, '-')
	if i <= 0 {
		return ref{}, false
	}
	number, err := strconv.ParseInt(id[i+1:], 10, 64)
	return ref{id[:i], number}, err == nil && number >= 0
}

func isTraceID(s string) bool {
	return len(s) >= shortestTrace && len(s) <= 32 && strings.Trim(s, "0123456789abcdef") == ""
}

// hasPrefix says whether a trace id begins with some hex digits; no trace at all never does.
func hasPrefix(id [16]byte, digits string) bool {
	var text [32]byte
	hex.Encode(text[:], id[:])
	return id != [16]byte{} && string(text[:len(digits)]) == digits
}
