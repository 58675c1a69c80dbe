package history

import (
	"fmt"
	"io"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
)

// decoder reads the events of a file, row group by row group and column by column: each column
// holds one page at a time, and an event is put together from the columns' next values. Nothing is
// allocated for an event.
type decoder struct {
	at, message, parent, keySeq, offset, duration, value *column[int64]
	replica, partition, delivery, attempt                *column[int32]
	node, handler, step, flow, parentFlow, key           *texts[string]
	wire, channel, reason                                *texts[string]
	kind                                                 *texts[Kind]
	outcome                                              *texts[Outcome]
	trace                                                *texts[[16]byte]

	columns map[string]chunkReader
	groups  []parquet.RowGroup // not begun yet
	next    int                // within the columns' present pages
	ready   int                // how far all columns' present pages reach
	left    int64              // events of the row group not given yet
}

// chunkReader is what a decoder does with all of its columns.
type chunkReader interface {
	// open begins a column of a row group and checks that its values can be read.
	open(chunk parquet.ColumnChunk) error
	// advance forgets n values, reads on where none is left, and tells how many are there.
	advance(n int) (int, error)
	close()
}

// newDecoder makes a decoder. Names are shared by all decoders of a reader.
func newDecoder(names interned) *decoder {
	d := &decoder{columns: map[string]chunkReader{}}
	long := func(name string) *column[int64] {
		c := &column[int64]{name: name, kind: parquet.Int64, raw: (*encoding.Values).Int64}
		d.columns[name] = c
		return c
	}
	short := func(name string) *column[int32] {
		c := &column[int32]{name: name, kind: parquet.Int32, raw: (*encoding.Values).Int32}
		d.columns[name] = c
		return c
	}
	text := func(name string) *texts[string] { return addTexts(d, name, names.parse) }
	d.at, d.message, d.parent = long("at_ns"), long("message"), long("parent")
	d.keySeq, d.offset = long("key_seq"), long("offset")
	d.duration, d.value = long("duration_ns"), long("value")
	d.replica, d.partition = short("replica"), short("partition")
	d.delivery, d.attempt = short("delivery"), short("attempt")
	d.node, d.handler, d.step = text("node"), text("handler"), text("step")
	d.flow, d.parentFlow, d.key = text("flow"), text("parent_flow"), text("key")
	d.wire, d.channel, d.reason = text("wire"), text("channel"), text("reason")
	d.kind = addTexts(d, "kind", known(ParseKind))
	d.outcome = addTexts(d, "outcome", known(ParseOutcome))
	d.trace = addTexts(d, "trace", parseTrace)
	return d
}

func addTexts[T any](d *decoder, name string, parse func(string) (T, error)) *texts[T] {
	t := &texts[T]{name: name, parse: parse}
	d.columns[name] = t
	return t
}

// known makes a parser that says whether it knew the text one that returns an error.
func known[T any](parse func(string) (T, bool)) func(string) (T, error) {
	return func(s string) (T, error) {
		v, ok := parse(s)
		if !ok {
			return v, fmt.Errorf("text %q is not known", s)
		}
		return v, nil
	}
}

// read puts the next event into e. It returns io.EOF behind the last one.
func (d *decoder) read(e *Event) error {
	if d.next == d.ready {
		if err := d.load(); err != nil {
			return err
		}
	}
	i := d.next
	d.next++
	e.At, e.Kind, e.Outcome = d.at.values[i], d.kind.at(i), d.outcome.at(i)
	e.Attempt, e.Delivery = d.attempt.values[i], d.delivery.values[i]
	e.Replica, e.Partition = d.replica.values[i], d.partition.values[i]
	e.Offset, e.Message, e.Parent = d.offset.values[i], d.message.values[i], d.parent.values[i]
	e.KeySeq, e.Duration, e.Value = d.keySeq.values[i], d.duration.values[i], d.value.values[i]
	e.Trace = d.trace.at(i)
	e.Node, e.Handler, e.Step = d.node.at(i), d.handler.at(i), d.step.at(i)
	e.Flow, e.ParentFlow, e.Key = d.flow.at(i), d.parentFlow.at(i), d.key.at(i)
	e.Wire, e.Channel, e.Reason = d.wire.at(i), d.channel.at(i), d.reason.at(i)
	return nil
}

// load gives every column at least one value, or returns io.EOF. What the Parquet library panics
// about, in a file that was made by someone else, is an error.
func (d *decoder) load() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decode page: %v: %w", p, errDamaged)
		}
	}()
	used := d.next
	d.left -= int64(used)
	for d.left == 0 {
		if err := d.openGroup(); err != nil {
			return err
		}
		used = 0
	}
	d.next, d.ready = 0, int(min(d.left, 1<<30))
	for _, c := range d.columns {
		n, err := c.advance(used)
		if err != nil {
			d.ready = 0
			return err
		}
		d.ready = min(d.ready, n)
	}
	return nil
}

// openGroup begins the next row group.
func (d *decoder) openGroup() error {
	d.close()
	if len(d.groups) == 0 {
		return io.EOF
	}
	g := d.groups[0]
	d.groups = d.groups[1:]
	for name, c := range d.columns {
		leaf, ok := g.Schema().Lookup(name)
		if !ok {
			return fmt.Errorf("column %q is missing: %w", name, errDamaged)
		}
		chunk := g.ColumnChunks()[leaf.ColumnIndex]
		if !leaf.Node.Required() || chunk.NumValues() != g.NumRows() {
			return fmt.Errorf("column %q has gaps: %w", name, errDamaged)
		}
		if err := c.open(chunk); err != nil {
			return err
		}
	}
	d.left = g.NumRows()
	return nil
}

// close gives up what the columns hold. The decoder then has nothing more of this row group.
func (d *decoder) close() {
	for _, c := range d.columns {
		c.close()
	}
	d.next, d.ready, d.left = 0, 0, 0
}

// keepNames is how many texts a reader keeps to give equal ones one memory; beyond it, as with
// keys that never come again, each row group has its own.
const keepNames = 1 << 14

type interned map[string]string

func (n interned) parse(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	if kept, ok := n[s]; ok {
		return kept, nil
	}
	s = strings.Clone(s)
	if len(n) < keepNames {
		n[s] = s
	}
	return s, nil
}
