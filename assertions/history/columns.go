package history

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/parquet-go/parquet-go"
)

// row is an event as it stands in a file: the columns of the package's comment in their order.
// Texts are dictionary encoded, so that a reader makes each only once. The names are those of Lines
// too.
type row struct {
	AtNS       int64   `parquet:"at_ns,delta" json:"at_ns"`
	Kind       string  `parquet:"kind,dict" json:"kind"`
	Outcome    string  `parquet:"outcome,dict" json:"outcome,omitzero"`
	Node       string  `parquet:"node,dict" json:"node,omitzero"`
	Replica    int32   `parquet:"replica,dict" json:"replica,omitzero"`
	Handler    string  `parquet:"handler,dict" json:"handler,omitzero"`
	Step       string  `parquet:"step,dict" json:"step,omitzero"`
	Flow       string  `parquet:"flow,dict" json:"flow,omitzero"`
	Message    ordinal `parquet:"message,delta" json:"message,omitzero"`
	Trace      string  `parquet:"trace,dict" json:"trace,omitzero"`
	ParentFlow string  `parquet:"parent_flow,dict" json:"parent_flow,omitzero"`
	Parent     ordinal `parquet:"parent,delta" json:"parent,omitzero"`
	Key        string  `parquet:"key,dict" json:"key,omitzero"`
	KeySeq     ordinal `parquet:"key_seq,delta" json:"key_seq,omitzero"`
	Wire       string  `parquet:"wire,dict" json:"wire,omitzero"`
	Channel    string  `parquet:"channel,dict" json:"channel,omitzero"`
	Partition  int32   `parquet:"partition,dict" json:"partition,omitzero"`
	Offset     int64   `parquet:"offset,delta" json:"offset,omitzero"`
	Delivery   int32   `parquet:"delivery,dict" json:"delivery,omitzero"`
	Attempt    int32   `parquet:"attempt,dict" json:"attempt,omitzero"`
	Reason     string  `parquet:"reason,dict" json:"reason,omitzero"`
	DurationNS int64   `parquet:"duration_ns,delta" json:"duration_ns,omitzero"`
	Value      int64   `parquet:"value,delta" json:"value,omitzero"`
}

// ordinal is a number that is -1 when it is not set.
type ordinal int64

// IsZero says that the number is not set, so that JSON omits it.
func (o ordinal) IsZero() bool { return o == -1 }

// Keys of the metadata that a reader needs before it reads a row.
const (
	metaFormat   = "faultline.format"
	metaFirst    = "faultline.first_ns"
	metaLast     = "faultline.last_ns"
	metaShed     = "faultline.shed"
	metaEnded    = "faultline.ended"
	metaChecksum = "faultline.crc32c"
)

// meta is what a file's metadata says about its events.
type meta struct {
	events int64
	first  int64 // At of the first event
	last   int64
	shed   int64 // sum of the Shed events' values
	ended  bool
}

func (m *meta) add(e *Event) {
	if m.events == 0 {
		m.first = e.At
	}
	m.events++
	m.last = e.At
	switch e.Kind {
	case Shed:
		m.shed += e.Value
	case Ended:
		m.ended = true
	}
}

// texts are the metadata's entries but for the checksum.
func (m *meta) texts() map[string]string {
	return map[string]string{
		metaFormat: strconv.Itoa(Format),
		metaFirst:  strconv.FormatInt(m.first, 10),
		metaLast:   strconv.FormatInt(m.last, 10),
		metaShed:   strconv.FormatInt(m.shed, 10),
		metaEnded:  strconv.FormatBool(m.ended),
	}
}

// parseMeta reads a file's metadata; a format above ours is refused by its number.
func parseMeta(f *parquet.File) (m meta, err error) {
	text, ok := f.Lookup(metaFormat)
	if !ok {
		return m, fmt.Errorf("metadata %q is missing: not a history", metaFormat)
	}
	format, err := strconv.Atoi(text)
	if err != nil {
		return m, fmt.Errorf("read metadata %q: %w", metaFormat, err)
	}
	if format > Format {
		return m, fmt.Errorf("history has format %d, this program reads up to format %d",
			format, Format)
	}
	m.events = f.NumRows()
	numbers := map[string]*int64{metaFirst: &m.first, metaLast: &m.last, metaShed: &m.shed}
	for key, n := range numbers {
		text, _ := f.Lookup(key)
		if *n, err = strconv.ParseInt(text, 10, 64); err != nil {
			return m, fmt.Errorf("read metadata %q: %w", key, err)
		}
	}
	text, _ = f.Lookup(metaEnded)
	if m.ended, err = strconv.ParseBool(text); err != nil {
		return m, fmt.Errorf("read metadata %q: %w", metaEnded, err)
	}
	return m, nil
}

// fill makes the row of an event; trace is its trace id in hex.
func (r *row) fill(e *Event, trace string) {
	*r = row{
		AtNS: e.At, Kind: kindNames[e.Kind], Outcome: outcomeNames[e.Outcome],
		Node: e.Node, Replica: e.Replica, Handler: e.Handler, Step: e.Step,
		Flow: e.Flow, Message: ordinal(e.Message), Trace: trace,
		ParentFlow: e.ParentFlow, Parent: ordinal(e.Parent), Key: e.Key,
		KeySeq: ordinal(e.KeySeq),
		Wire:   e.Wire, Channel: e.Channel, Partition: e.Partition, Offset: e.Offset,
		Delivery: e.Delivery, Attempt: e.Attempt, Reason: e.Reason,
		DurationNS: e.Duration, Value: e.Value,
	}
}

// parseTrace is the inverse of traces.text; "" is no trace.
func parseTrace(s string) (id [16]byte, err error) {
	if s == "" {
		return id, nil
	}
	if len(s) != 2*len(id) {
		return id, fmt.Errorf("trace %q has %d digits, not %d", s, len(s), 2*len(id))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return id, fmt.Errorf("trace %q: %w", s, err)
	}
	return id, nil
}

// traces gives trace ids their text, each made only once while it lasts.
type traces map[[16]byte]string

// keepTraces is how many texts are kept, 64 bytes each.
const keepTraces = 1 << 17

func (t traces) text(id [16]byte) string {
	if id == ([16]byte{}) {
		return ""
	}
	s, ok := t[id]
	if !ok {
		if len(t) >= keepTraces {
			clear(t)
		}
		s = hex.EncodeToString(id[:])
		t[id] = s
	}
	return s
}
