// Package amqp is the AMQP 0-9-1 client: amqp091-go over a wire, to RabbitMQ.
//
// It is used in the run step of load → plan → run → check → report. It promises that Publish
// returns when the broker has confirmed the message in every queue that it went to, that a publish
// is never made twice, that messages of a key are delivered in their order, and that whatever was
// not settled when a connection was lost is delivered again. It may not import an engine or the
// fabric's making. It is the only importer of amqp091-go.
//
// How a channel stands on the broker is told in topology.go. The library does not reconnect here:
// its own recovery is experimental, and would publish and consume at times that nobody asked for.
//
// Source: AMQP 0-9-1 with RabbitMQ's extensions (confirms, basic.nack, quorum queues, single
// active consumer, dead-letter exchanges, TTL), https://www.rabbitmq.com/docs.
package amqp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/dialed"
	"github.com/faultline-sim/faultline/simulators/conn/life"
	"github.com/faultline-sim/faultline/topology"
)

const (
	// mostAsked is how many questions the client has open at once, at most.
	mostAsked = 8
	// goodbye is how long each step of an orderly end may take.
	goodbye = 500 * time.Millisecond
)

// errLost is what a lost connection answers.
var errLost = errors.New("connection lost")

// Client is one AMQP client. It implements conn.Broker and conn.Crasher. It has two connections,
// each made when first needed: RabbitMQ stops reading from one that publishes while memory is
// short, and acknowledgements must not wait for that.
type Client struct {
	cfg   conn.Config
	conns *dialed.Conns
	life  *life.Life

	main    *line // asks, declares and publishes
	feed    *line // consumes
	up      dialed.Up
	asking  chan struct{} // holds one for each question that is open
	layouts sync.Map      // channel name to its layout
	turn    atomic.Uint32 // for messages without a key

	mu       sync.Mutex
	lanes    map[string]*lane // by channel
	declared map[string]*topology.Channel
	rand     *rand.Rand
}

// New makes a client; it connects when it is first used.
func New(cfg conn.Config) *Client {
	c := &Client{
		cfg: cfg, conns: dialed.New(), life: life.New(), up: dialed.Up{Tell: cfg.OnState},
		asking: make(chan struct{}, mostAsked),
		lanes:  map[string]*lane{}, declared: map[string]*topology.Channel{}, rand: cfg.Chance(),
	}
	c.main, c.feed = newLine(c, "main"), newLine(c, "feed")
	return c
}

// Connect returns when the broker has taken the client in. It tries until ctx ends, except where
// the broker refuses the credentials.
func (c *Client) Connect(ctx context.Context) error {
	if _, err := c.main.session(ctx); err != nil {
		return fmt.Errorf("connect %q over %s: %w", c.cfg.Client, c.cfg.Dialer.Wire(), err)
	}
	return nil
}

// pause waits before the n-th further try, n from 1; its error is why there should be none.
func (c *Client) pause(ctx context.Context, n int) error {
	return c.life.Pause(ctx, c.spread(life.Backoff(n)))
}

// spread is a time between half of d and d, so that clients do not all come back at once.
func (c *Client) spread(d time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return d/2 + time.Duration(c.rand.Int64N(int64(d/2)+1))
}

// reconnectPause is the pause before the n-th try in a row to connect, n from 1.
func (c *Client) reconnectPause(n int) time.Duration {
	otherwise := c.spread(life.Backoff(n))
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cfg.ReconnectPause(n, c.rand, otherwise)
}

// refused is an answer that no repetition changes; what says what to change.
func (c *Client) refused(channel, what string) error {
	return fmt.Errorf("channel %q on %s: %s: %w", channel, c.cfg.Dialer.Wire(), what, conn.ErrRefused)
}

// Close ends the subscriptions, gives what is unsettled back, and returns when nothing of the
// client is left. It may not be called from within a subscription's Handle.
func (c *Client) Close() error {
	c.life.Leave()
	c.life.End()
	c.feed.leave()
	c.main.leave()
	c.conns.Sever()
	c.life.Wait()
	c.conns.Wait()
	return nil
}

// Crash ends the client at once; the broker notices as the connections drop.
func (c *Client) Crash() {
	c.life.Crash()
	c.conns.Sever()
	c.life.End()
}

var (
	_ conn.Broker  = (*Client)(nil)
	_ conn.Crasher = (*Client)(nil)
)
