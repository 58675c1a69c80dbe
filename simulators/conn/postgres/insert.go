package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
)

const (
	// together is how many rows one statement inserts. Few different sizes of a statement mean few
	// prepared ones.
	together = 128
	// togetherBytes bounds the bodies in one statement; a single body may be larger.
	togetherBytes = 1 << 20
	insertColumns = 6
)

// Put inserts rows whose id is not there yet, many in one statement.
func (c *Client) Put(ctx context.Context, table string, ms []*message.Message) error {
	return c.insert(ctx, quote(table), " ON CONFLICT DO NOTHING", ms)
}

// Append inserts rows, whatever is there.
func (c *Client) Append(ctx context.Context, table string, ms []*message.Message) error {
	return c.insert(ctx, quote(table+rows), "", ms)
}

// insert goes through messages in batches, each one statement, which is written whole or not at
// all. Once a batch is written, the outcome of all is unknown when a later one is not.
func (c *Client) insert(ctx context.Context, into, tail string, ms []*message.Message) error {
	b := batch{into: into, tail: tail}
	written := false
	for i, m := range ms {
		if err := b.add(m); err != nil {
			return partly(err, written)
		}
		if i < len(ms)-1 && !b.full() {
			continue
		}
		if err := c.exec(ctx, b.statement(), b.args...); err != nil {
			return partly(fmt.Errorf("insert %d rows into %s: %w", b.rows(), into, err), written)
		}
		written = true
		b.args, b.bytes = b.args[:0], 0
	}
	return nil
}

func partly(err error, written bool) error {
	if written && !errors.Is(err, conn.ErrUnknown) {
		return fmt.Errorf("%w of some rows: %w", conn.ErrUnknown, err)
	}
	return err
}

// batch is the rows of one statement.
type batch struct {
	into, tail string
	args       []any
	bytes      int
}

func (b *batch) add(m *message.Message) error {
	body, err := m.Structured()
	if err != nil {
		return err
	}
	b.args = append(b.args, m.ID(), m.Flow, m.Number, m.Key, m.KeySeq, body)
	b.bytes += len(body)
	return nil
}

func (b *batch) rows() int { return len(b.args) / insertColumns }

func (b *batch) full() bool { return b.rows() >= together || b.bytes >= togetherBytes }

func (b *batch) statement() string {
	var s strings.Builder
	s.WriteString("INSERT INTO " + b.into + " (id, flow, number, key, key_seq, body) VALUES ")
	for i := range len(b.args) {
		switch {
		case i == 0:
			s.WriteString("(")
		case i%insertColumns == 0:
			s.WriteString("), (")
		default:
			s.WriteString(", ")
		}
		s.WriteString("$" + strconv.Itoa(i+1))
	}
	s.WriteString(")" + b.tail)
	return s.String()
}
