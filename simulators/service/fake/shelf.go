package fake

import (
	"context"
	"sync"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
)

// Shelf is every store of a test. The zero value is ready.
type Shelf struct {
	// Answer is asked before a write takes effect; an error is the write's. Nil is success.
	Answer func(ctx context.Context, ms []*message.Message) error

	mu     sync.Mutex
	rows   map[string]map[string]*message.Message
	writes [][]string
}

var _ conn.Store = (*Shelf)(nil)

// Writes are the ids of each write that took effect, in order.
func (s *Shelf) Writes() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// Connect works at once.
func (s *Shelf) Connect(ctx context.Context) error { return ctx.Err() }

// Declare has nothing to do.
func (s *Shelf) Declare(context.Context, []string) error { return nil }

// Put keeps each message once.
func (s *Shelf) Put(ctx context.Context, table string, ms []*message.Message) error {
	if s.Answer != nil {
		if err := s.Answer(ctx, ms); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows == nil {
		s.rows = map[string]map[string]*message.Message{}
	}
	if s.rows[table] == nil {
		s.rows[table] = map[string]*message.Message{}
	}
	var ids []string
	for _, m := range ms {
		s.rows[table][m.ID()] = m
		ids = append(ids, m.ID())
	}
	s.writes = append(s.writes, ids)
	return nil
}

// Append is Put here.
func (s *Shelf) Append(ctx context.Context, table string, ms []*message.Message) error {
	return s.Put(ctx, table, ms)
}

// Get reads one message.
func (s *Shelf) Get(_ context.Context, table, id string) (*message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.rows[table][id]
	if !ok {
		return nil, conn.ErrNotFound
	}
	return m, nil
}

// Audit reads every row.
func (s *Shelf) Audit(
	_ context.Context, table string, found func(m *message.Message, copies int) error,
) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.rows[table] {
		if err := found(m, 1); err != nil {
			return err
		}
	}
	return nil
}

// Close has nothing to do.
func (s *Shelf) Close() error { return nil }

// Clients gives every broker's clients the bus and every store's the shelf.
type Clients struct {
	Bus   *Bus
	Shelf *Shelf
}

var _ simulators.Clients = Clients{}

// Broker is a client of the bus.
func (c Clients) Broker(string, conn.Config) (conn.Broker, error) { return c.Bus.Client(), nil }

// Store is the shelf.
func (c Clients) Store(string, conn.Config) (conn.Store, error) { return c.Shelf, nil }
