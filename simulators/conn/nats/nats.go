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
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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
	cfg   conn.Config
	conns *dialed.Conns
	life  *life.Life

	mu    sync.Mutex
	nc    *nats.Conn          // nil before the first connect
	js    jetstream.JetStream // of nc
	up    context.Context     // ends when the present connection does
	down  context.CancelFunc
	known map[string]*kept // by channel
	turn  uint32           // for messages without a key
}

// New makes a client; it connects when Connect is called.
func New(cfg conn.Config) *Client {
	c := &Client{cfg: cfg, conns: dialed.New(), life: life.New(), known: map[string]*kept{}}
	c.up, c.down = context.WithCancel(c.life)
	return c
}

// Connect returns when the server has let the client in. It tries until ctx ends, or the server
// refuses the client's credentials.
func (c *Client) Connect(ctx context.Context) error {
	if c.connection() != nil {
		return nil
	}
	for n := 1; ; n++ {
		nc, err := nats.Connect("nats://wire", c.options()...)
		if err == nil {
			return c.keep(nc)
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
}

func (c *Client) options() []nats.Option {
	all := []nats.Option{
		nats.Name(c.cfg.Client), nats.SetCustomDialer(dialer{c}), nats.SkipHostLookup(),
		nats.IgnoreDiscoveredServers(), nats.Timeout(dialTimeout),
		nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(mostPings),
		nats.MaxReconnects(-1), nats.CustomReconnectDelay(life.Backoff),
		nats.ReconnectBufSize(-1), // what cannot be sent now is an error now
		nats.ReconnectErrHandler(func(*nats.Conn, error) {}),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // each call has its error
		nats.DisconnectErrHandler(func(*nats.Conn, error) { c.state("disconnect") }),
		nats.ReconnectHandler(func(*nats.Conn) { c.state("connect") }),
	}
	if c.cfg.Password != nil {
		all = append(all, nats.UserInfoHandler(func() (string, string) {
			return c.cfg.User, c.cfg.Password()
		}))
	}
	return all
}

// dialer is the client's wire as the library wants it.
type dialer struct{ client *Client }

// Dial connects over the wire; the address is the library's and means nothing.
func (d dialer) Dial(string, string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.client.life, dialTimeout)
	defer cancel()
	made, err := d.client.conns.Dial(ctx, d.client.cfg.Dialer.Dial)
	if err != nil {
		return nil, err
	}
	return made, nil
}

// keep makes a connection the client's own.
func (c *Client) keep(nc *nats.Conn) error {
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(answerTimeout))
	if err != nil {
		nc.Close()
		return fmt.Errorf("use JetStream: %w", err)
	}
	c.mu.Lock()
	closing, other := c.life.Closing(), c.nc != nil
	if !closing && !other {
		c.nc, c.js = nc, js
	}
	c.mu.Unlock()
	switch {
	case closing:
		nc.Close()
		return life.ErrClosed
	case other: // somebody else was faster
		nc.Close()
		return nil
	}
	c.told("connect")
	return nil
}

// state follows the connection: who waits for an answer over one that is gone is told.
func (c *Client) state(state string) {
	c.mu.Lock()
	down := c.down
	if state == "connect" {
		c.up, c.down = context.WithCancel(c.life)
	}
	known := c.nc != nil
	c.mu.Unlock()
	if state == "disconnect" {
		down()
	}
	if known {
		c.told(state)
	}
}

func (c *Client) told(state string) {
	if c.cfg.OnState != nil {
		c.cfg.OnState(state)
	}
}

func (c *Client) connection() *nats.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nc
}

// stream is what JetStream is asked with.
func (c *Client) stream() (jetstream.JetStream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Closing() {
		return nil, life.ErrClosed
	}
	if c.js == nil {
		return nil, errors.New("client is not connected")
	}
	return c.js, nil
}

// limit bounds a request, and ends it when the connection does.
func (c *Client) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	c.mu.Lock()
	up := c.up
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	stop := context.AfterFunc(up, cancel)
	return ctx, func() { stop(); cancel() }
}

// Close gives up the parts that are held, committing nothing more than was settled, and returns
// when nothing of the client is left. It may not be called from within a subscription's Handle.
func (c *Client) Close() error {
	c.life.Leave()
	c.life.End()
	c.life.Wait()
	if nc := c.connection(); nc != nil {
		c.flush(nc)
		nc.Close()
	}
	c.conns.Sever()
	c.conns.Reap() // the library forgets a connection that comes up while it closes
	c.conns.Wait()
	return nil
}

// flush sends what waits to be sent, acknowledgements above all, if the wire lets it.
func (c *Client) flush(nc *nats.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	_ = nc.FlushWithContext(ctx) // else the messages come again
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
