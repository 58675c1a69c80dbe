package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Message is what became of one message, as far as its events tell. Times are since the run began;
// 0 where there is none, unless said otherwise.
type Message struct {
	Flow       string
	Number     int64
	Key        string
	KeySeq     int64 // −1 for none
	Trace      [16]byte
	ParentFlow string // of a derived message
	Parent     int64  // −1 for none

	Sent       time.Duration // intended send time, or when it was derived
	Answered   time.Duration // how long its source waited for the answer, from Sent
	Outcome    Outcome       // what the source was told; None when it was told nothing
	Replied    time.Duration // how long the reply took, from Sent
	Deliveries int           // times that it was given to a handler
	Attempts   int           // runs of whole handlers
	Tries      int           // of steps: publishes, calls and writes

	Arrivals    []Arrival // by time, then node
	DeadLetters []Ending
	Expired     []Ending
	Filtered    []Ending
	Rejected    []Ending
	Redriven    []Ending
}

// Arrival says that a message is at a store, or that the audit found it at a sink.
type Arrival struct {
	Node   string
	At     time.Duration // of the first write or delivery there; −1 when only the audit saw it
	Copies int64         // that the audit found; 0 when it did not find it or did not look
}

// Ending is one way in which a branch of a message's path ended before its sink.
type Ending struct {
	At      time.Duration
	Node    string
	Channel string // dead-letter channel, or where a redrive went
	Reason  string
}

// ID is the message's CloudEvents id, "telemetry-17".
func (m *Message) ID() string { return messageID(m.Flow, m.Number) }

func messageID(flow string, number int64) string { return fmt.Sprintf("%s-%d", flow, number) }

// Fate is what became of the message in a few words: "arrived", "dead-lettered, arrived",
// "open" when nothing did.
func (m *Message) Fate() string {
	var words []string
	for _, w := range []struct {
		word string
		has  bool
	}{
		{"expired", len(m.Expired) > 0},
		{"filtered", len(m.Filtered) > 0},
		{"rejected", len(m.Rejected) > 0},
		{"dead-lettered", len(m.DeadLetters) > 0},
		{"redriven", len(m.Redriven) > 0},
		{"arrived", len(m.Arrivals) > 0},
	} {
		if w.has {
			words = append(words, w.word)
		}
	}
	if len(words) == 0 {
		return "open"
	}
	return strings.Join(words, ", ")
}

// Messages tells of every message of a history, by flow and number. It holds all of them in memory,
// about half a kilobyte each.
func Messages(r *Reader) ([]Message, error) {
	flows := map[string]map[int64]*messageState{}
	for e := range r.Events {
		if e.Message < 0 {
			continue
		}
		flow := flows[e.Flow]
		if flow == nil {
			flow = map[int64]*messageState{}
			flows[e.Flow] = flow
		}
		state := flow[e.Message]
		if state == nil {
			state = newState(e)
			flow[e.Message] = state
		}
		state.observe(e)
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	var all []Message
	for _, name := range slices.Sorted(maps.Keys(flows)) {
		for _, number := range slices.Sorted(maps.Keys(flows[name])) {
			all = append(all, flows[name][number].summary())
		}
	}
	return all, nil
}

// messageState is a message while its events are read.
type messageState struct {
	Message
	received []place // the first delivery to each node
}

type place struct {
	node string
	at   int64
}

func newState(e *Event) *messageState {
	s := &messageState{}
	s.Flow, s.Number, s.Key, s.KeySeq, s.Trace = e.Flow, e.Message, e.Key, e.KeySeq, e.Trace
	s.Parent, s.Sent = -1, time.Duration(e.At)
	return s
}

func (s *messageState) observe(e *Event) {
	ending := Ending{time.Duration(e.At), e.Node, e.Channel, e.Reason}
	switch e.Kind {
	case Produce:
		s.produce(e)
	case Derive:
		s.Sent, s.ParentFlow, s.Parent = time.Duration(e.At), e.ParentFlow, e.Parent
	case Reply:
		s.Replied = time.Duration(e.Duration)
	case Receive:
		s.receive(e)
	case Attempt:
		s.Attempts++
	case Publish, Call:
		s.Tries++
	case Store:
		s.Tries++
		if e.Outcome == Ok {
			s.arrive(farEnd(e.Wire), e.At)
		}
	case Found:
		s.find(e)
	case DeadLetter:
		s.DeadLetters = append(s.DeadLetters, ending)
	case Expire:
		s.Expired = append(s.Expired, ending)
	case Filter:
		s.Filtered = append(s.Filtered, ending)
	case Reject:
		s.Rejected = append(s.Rejected, ending)
	case Redrive:
		s.Redriven = append(s.Redriven, ending)
	}
}

func (s *messageState) produce(e *Event) {
	if e.Outcome == None {
		s.Sent = time.Duration(e.At)
		return
	}
	s.Outcome, s.Answered = e.Outcome, time.Duration(e.Duration)
}

func (s *messageState) receive(e *Event) {
	s.Deliveries++
	if !slices.ContainsFunc(s.received, func(p place) bool { return p.node == e.Node }) {
		s.received = append(s.received, place{e.Node, e.At})
	}
}

// arrive notes the first arrival at a node and returns its place in Arrivals.
func (s *messageState) arrive(node string, at int64) int {
	i := slices.IndexFunc(s.Arrivals, func(a Arrival) bool { return a.Node == node })
	if i < 0 {
		i = len(s.Arrivals)
		s.Arrivals = append(s.Arrivals, Arrival{Node: node, At: time.Duration(at)})
	}
	return i
}

// find notes that the audit saw the message: at a sink, not in a channel.
func (s *messageState) find(e *Event) {
	if e.Channel != "" {
		return
	}
	at := int64(-1)
	if i := slices.IndexFunc(s.received, func(p place) bool { return p.node == e.Node }); i >= 0 {
		at = s.received[i].at
	}
	s.Arrivals[s.arrive(e.Node, at)].Copies += e.Value
}

func (s *messageState) summary() Message {
	slices.SortFunc(s.Arrivals, func(a, b Arrival) int {
		return cmp.Or(cmp.Compare(a.At, b.At), strings.Compare(a.Node, b.Node))
	})
	return s.Message
}

// farEnd is the node that a wire, "from -> to", leads to.
func farEnd(wire string) string {
	_, to, _ := strings.Cut(wire, " -> ")
	return to
}
