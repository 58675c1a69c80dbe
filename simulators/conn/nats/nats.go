// Package nats is the NATS client: nats.go over a wire, with JetStream for channels that are kept
// and core NATS for those that are not.
//
// It is used in the run step of load → plan → run → check → report. It promises that Publish to a
// kept channel returns when its stream has stored the message, that one try is one request, and
// that a message is acknowledged only by the consumer that holds its part. It may not import an
// engine or the fabric's making. It is the only importer of nats.go.
package nats

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/dialed"
	"github.com/faultline-sim/faultline/simulators/conn/life"
)

const (
	// answerTimeout bounds one request where its context does not. Past it the answer is unknown.
	answerTimeout = 5 * time.Second
	// dialTimeout bounds one try to connect, the server's greeting included.
	dialTimeout = 2 * time.Second
	// pingEvery and mostPings are how soon a silent connection is given up: after a second and a
	// half to two.
	pingEvery = 500 * time.Millisecond
	mostPings = 2
)

// Client is one NATS client. It implements conn.Broker and conn.Crasher.
type Client struct {
	cfg     conn.Config
	conns   *dialed.Conns
	life    *life.Life
	sending sync.WaitGroup // of outboxes
	present present
	rand    *rand.Rand // of whoever reopens, one at a time

	mu        sync.Mutex
	connected bool             // once, and kept so since
	known     map[string]*kept // by channel
	turn      uint32           // for messages without a key
}

// New makes a client; it connects when Connect is called.
func New(cfg conn.Config) *Client {
	return &Client{
		cfg: cfg, rand: cfg.Chance(), conns: dialed.New(), life: life.New(), known: map[string]*kept{},
		present: present{changed: make(chan struct{})},
	}
}

// Connect returns when the server has let the client in. It tries until ctx ends, or the server
// refuses the client's credentials. From then on the client connects again by itself.
func (c *Client) Connect(ctx context.Context) error {
	for n := 1; !c.hasConnected(); n++ {
		l, err := c.open(ctx)
		if err == nil {
			return c.keep(l)
		}
		if errors.Is(err, nats.ErrAuthorization) {
			return fmt.Errorf("connect %q over %s: %w: %w; change its user or password",
				c.cfg.Client, c.cfg.Dialer.Wire(), conn.ErrRefused, err)
		}
		if wait := c.life.PauseBefore(ctx, n); wait != nil {
			return fmt.Errorf("connect %q over %s: %w",
				c.cfg.Client, c.cfg.Dialer.Wire(), errors.Join(wait, err))
		}
	}
	return nil
}

func (c *Client) hasConnected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connected
}

// keep makes a link the client's first, unless somebody else was faster.
func (c *Client) keep(l *link) error {
	c.mu.Lock()
	first := !c.connected
	c.connected = true
	c.mu.Unlock()
	if !first {
		l.nc.Close()
		return nil
	}
	c.present.set(l)
	c.told("connect")
	if !c.life.Go(func() { c.stay(l) }) {
		c.lose()
		return life.ErrClosed
	}
	return nil
}

// Close gives up the parts that are held, committing nothing more than was settled, and returns
// when nothing of the client is left. It may not be called from within a subscription's Handle.
func (c *Client) Close() error {
	c.life.Leave()
	c.life.End()
	c.life.Wait()
	if l, _ := c.present.get(); l != nil {
		l.flush()
	}
	c.lose()
	c.conns.Sever()
	c.conns.Reap() // what came up while the client closed
	c.conns.Wait()
	c.sending.Wait()
	return nil
}

// Crash drops the connection; nothing more is sent.
func (c *Client) Crash() {
	c.life.Crash()
	c.conns.Sever()
	c.life.End()
}

var (
	_ conn.Broker  = (*Client)(nil)
	_ conn.Crasher = (*Client)(nil)
)
