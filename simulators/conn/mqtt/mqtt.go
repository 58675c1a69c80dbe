// Package mqtt is the MQTT client: paho.mqtt.golang over a wire.
//
// It is used in the run step of load → plan → run → check → report. It promises QoS 1 both ways:
// Publish returns when the broker has acknowledged, and a delivery is acknowledged only by its Ack.
// It may not import an engine or the fabric's making. It is the only importer of paho.
//
// Each connection is a paho client of its own, because paho's own reconnection resolves publishes
// that no broker has acknowledged. Pauses, resending and subscriptions are kept here.
package mqtt

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/dialed"
	"github.com/faultline-sim/faultline/simulators/conn/life"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
)

// mostPayload is what MQTT's packet length leaves for a payload behind the longest topic.
const mostPayload = 268_435_455 - 65_535 - 4

// Client is one MQTT client. It implements conn.Broker and conn.Crasher.
type Client struct {
	cfg   conn.Config
	pause policy.Backoff
	conns *dialed.Conns
	rand  *rand.Rand // only the connecting goroutine uses it

	life  *life.Life
	start sync.Once
	out   outbox

	mu      sync.Mutex
	link    *link         // the connection that is up, nil while there is none
	changed chan struct{} // closed and replaced when link changes
	last    error         // why the last try to connect failed
	inbox   inbox
}

// New makes a client; it connects when Connect is called first.
func New(cfg conn.Config) *Client {
	c := &Client{
		cfg:     cfg,
		pause:   cfg.Session.Reconnect,
		conns:   dialed.New(),
		rand:    cfg.Chance(),
		life:    life.New(),
		changed: make(chan struct{}),
	}
	if c.pause.Initial <= 0 {
		c.pause = policy.Backoff{
			Initial: 50 * time.Millisecond, Factor: 2, Max: conn.ReconnectWithin, Jitter: 0.2,
		}
	}
	return c
}

// Connect returns when the client is connected; from then on it reconnects by itself, pausing as
// its session declares. When ctx ends first, the error says why the last try failed, and trying
// goes on.
func (c *Client) Connect(ctx context.Context) error {
	c.start.Do(func() { c.life.Go(c.keepConnected) })
	for {
		c.mu.Lock()
		up, changed, last := c.link != nil, c.changed, c.last
		c.mu.Unlock()
		if up {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("connect %q: %w", c.cfg.Client, errors.Join(ctx.Err(), last))
		case <-c.life.Done():
			return fmt.Errorf("connect %q: %w", c.cfg.Client, life.ErrClosed)
		}
	}
}

// Declare has nothing to do: MQTT topics come into being with their first message.
func (c *Client) Declare(context.Context, []*topology.Channel) error { return nil }

// Publish sends at QoS 1 and returns when the broker has acknowledged. While the client is not
// connected the message waits for as long as ctx lives. A message that was on its way when the
// connection was lost is sent again over the next one, as long as ctx lives and the session is
// persistent (the broker may then have it twice); in a clean session the answer is ErrUnknown at
// once. After Publish has returned nothing of the message is kept, so a caller that tries again
// after ErrUnknown sends it once more and no third time.
func (c *Client) Publish(ctx context.Context, channel string, m *message.Message) (
	conn.Receipt, error,
) {
	payload, err := m.Structured()
	if err == nil && len(payload) > mostPayload {
		err = fmt.Errorf("%w: %s: the message has %d bytes, an MQTT packet %d at most; send less",
			conn.ErrRefused, c.cfg.Dialer.Wire(), len(payload), mostPayload)
	}
	if err == nil {
		err = c.out.send(ctx, c, &letter{topic: channel, payload: payload})
	}
	if err != nil {
		return conn.Receipt{}, fmt.Errorf("publish to %q: %w", channel, err)
	}
	return conn.Receipt{}, nil
}

// Depth is not known to an MQTT client.
func (c *Client) Depth(context.Context, string, string) (int64, error) {
	return 0, fmt.Errorf("read depth over mqtt: %w", conn.ErrUnsupported)
}

// Audit is not possible: MQTT keeps nothing to read.
func (c *Client) Audit(context.Context, string, func(*message.Message) error) error {
	return fmt.Errorf("audit over mqtt: %w", conn.ErrUnsupported)
}

// Close says goodbye to the broker and returns when nothing of the client is left. A persistent
// session stays with the broker, with what was not acknowledged. Close may not be called from
// within a subscription's Handle.
func (c *Client) Close() error {
	c.life.Leave()
	c.life.End()
	c.inbox.stop()
	c.life.Wait()
	c.conns.Sever()
	c.conns.Wait()
	c.inbox.close()
	return nil
}

// Crash ends the client without a goodbye.
func (c *Client) Crash() {
	c.life.Crash()
	c.conns.Sever()
	c.life.End()
	c.inbox.stop()
}

// state tells the owner of a change.
func (c *Client) state(s string) {
	if c.cfg.OnState != nil {
		c.cfg.OnState(s)
	}
}

var (
	_ conn.Broker  = (*Client)(nil)
	_ conn.Crasher = (*Client)(nil)
)
