package amqp

import (
	"context"
	"errors"
	"slices"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/faultline-sim/faultline/simulators/conn/life"
)

// mostIdle is how many AMQP channels a session keeps for the next question.
const mostIdle = 32

// session is one connection from its handshake until it is lost.
type session struct {
	client *Client
	conn   *amqp.Connection
	lost   chan struct{} // closed when it is

	mu     sync.Mutex
	idle   []*amqp.Channel
	closed chan struct{} // open while the broker takes no publishes; nil when it does
}

// watch keeps account of what the broker says of a connection until it is lost.
func (c *Client) watch(made *amqp.Connection) *session {
	s := &session{client: c, conn: made, lost: make(chan struct{})}
	ends := made.NotifyClose(make(chan *amqp.Error, 1))
	blocks := made.NotifyBlocked(make(chan amqp.Blocking, 1))
	c.life.Beside(func() { // the line that is kept holds the count above nothing
		for {
			select {
			case b, ok := <-blocks:
				if !ok {
					blocks = nil // the other one says the same
					continue
				}
				s.block(b.Active)
			case <-ends:
				s.block(false)
				close(s.lost)
				return
			}
		}
	})
	return s
}

// block notes whether the broker takes publishes on this connection.
func (s *session) block(blocked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case blocked && s.closed == nil:
		s.closed = make(chan struct{})
	case !blocked && s.closed != nil:
		close(s.closed)
		s.closed = nil
	}
}

// gate returns a channel that closes when publishes are taken again; nil when they are.
func (s *session) gate() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// do runs f with an AMQP channel that nobody else uses meanwhile, and returns when it has ended or
// ctx has; then f may still run, until its answer comes or the connection is lost.
func (s *session) do(ctx context.Context, f func(*amqp.Channel) error) error {
	return s.run(ctx, f, func() {})
}

// run is do; after is called when f has ended.
func (s *session) run(ctx context.Context, f func(*amqp.Channel) error, after func()) error {
	done := make(chan error, 1)
	began := s.client.life.Go(func() {
		defer after()
		done <- s.with(f)
	})
	if !began {
		after()
		return life.ErrClosed
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// with runs f with an idle AMQP channel or a new one. An error of f's that the broker has answered
// with closes the channel.
func (s *session) with(f func(*amqp.Channel) error) error {
	ch, err := s.take()
	if err != nil {
		return err
	}
	err = f(ch)
	if !ch.IsClosed() {
		s.give(ch)
	}
	return err
}

func (s *session) take() (*amqp.Channel, error) {
	s.mu.Lock()
	if n := len(s.idle); n > 0 {
		ch := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		return ch, nil
	}
	s.mu.Unlock()
	return s.conn.Channel()
}

func (s *session) give(ch *amqp.Channel) {
	s.mu.Lock()
	if len(s.idle) < mostIdle {
		s.idle = append(s.idle, ch)
		ch = nil
	}
	s.mu.Unlock()
	if ch != nil {
		_ = ch.Close()
	}
}

// ask is do on the main connection, again on the next one where the connection was lost meanwhile.
// So f may run twice. What was given up on counts as open until it ends.
func (c *Client) ask(ctx context.Context, f func(*amqp.Channel) error) error {
	for n := 1; ; n++ {
		s, err := c.main.session(ctx)
		if err != nil {
			return err
		}
		select {
		case c.asking <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		err = s.run(ctx, f, func() { <-c.asking })
		if err == nil || ctx.Err() != nil || !s.conn.IsClosed() {
			return err
		}
		if wait := c.pause(ctx, n); wait != nil {
			return errors.Join(wait, err)
		}
	}
}

// answered says whether an error is the broker's own answer with one of these codes.
func answered(err error, codes ...int) bool {
	var said *amqp.Error
	if !errors.As(err, &said) || !said.Server {
		return false
	}
	return slices.Contains(codes, said.Code)
}
