// Package kafka is the Kafka client: kafka-go over a wire, every connection of it, to whatever
// address the cluster advertises.
//
// It is used in the run step of load → plan → run → check → report. It promises that Publish
// returns when all in-sync replicas have the record, that one try is one request (only answers that
// say "nothing was written" are tried again), and that an offset is committed only when it and all
// before it are settled. It may not import an engine or the fabric's making. It is the only
// importer of kafka-go.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/dialed"
	"github.com/faultline-sim/faultline/simulators/conn/lane"
	"github.com/faultline-sim/faultline/simulators/conn/life"
)

const (
	// answerTimeout bounds one request. Past it the answer is unknown.
	answerTimeout = 10 * time.Second
	// metadataAge is how old the client's knowledge of leaders may be, at most: the library's own
	// default. What turns out to be wrong is thrown away at once.
	metadataAge = 6 * time.Second
	// idleTimeout is beyond a run, so that an idle connection does not look like a lost one.
	idleTimeout = time.Hour
)

// Client is one Kafka client. It implements conn.Broker and conn.Crasher.
type Client struct {
	cfg   conn.Config
	conns *dialed.Conns
	life  *life.Life

	transport *routes
	listens   atomic.Pointer[listens] // as it was when the last request was sent; nil before
	epoch     atomic.Int64            // how often the knowledge of leaders was thrown away
	up        dialed.Up               // connections that have carried an answer
	topics    sync.Map                // topic to its partitions, a []int

	mu    sync.Mutex
	lanes map[slot]*lane.Lane[kafka.Record]
	turn  uint32 // for messages without a key
}

// slot is one partition of a topic.
type slot struct {
	topic     string
	partition int
}

// New makes a client; it connects when it is first used.
func New(cfg conn.Config) *Client {
	c := &Client{
		cfg: cfg, conns: dialed.New(), life: life.New(), up: dialed.Up{Tell: cfg.OnState},
		lanes: map[slot]*lane.Lane[kafka.Record]{},
	}
	c.transport = &routes{Transport: &kafka.Transport{
		Dial:        c.dial,
		DialTimeout: answerTimeout / 2,
		IdleTimeout: idleTimeout,
		MetadataTTL: metadataAge,
		ClientID:    cfg.Client,
		Context:     c.life, // the library's own goroutines end with the client
	}}
	return c
}

// client is the library's client for one request; the cluster's addresses are looked up each time,
// since they may be announced anew.
func (c *Client) client() *kafka.Client { return c.within(answerTimeout) }

// within is the library's client for one request that takes so long at most.
func (c *Client) within(timeout time.Duration) *kafka.Client {
	return &kafka.Client{Addr: c.cluster(), Transport: c.transport, Timeout: timeout}
}

// cluster is where the cluster listens. The library takes an address apart to make one of its own,
// and is given the last one as long as nothing has changed.
func (c *Client) cluster() net.Addr {
	endpoints := c.cfg.Dialer.Endpoints()
	if last := c.listens.Load(); last != nil && slices.Equal(last.endpoints, endpoints) {
		return last.addr
	}
	now := &listens{endpoints, kafka.TCP(endpoints...)}
	c.listens.Store(now)
	return now.addr
}

// listens is where a cluster listens, and the same for the library.
type listens struct {
	endpoints []string
	addr      net.Addr
}

// dial connects to an address that the cluster advertises, through this client's wire.
func (c *Client) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	dialled, err := c.conns.Dial(ctx, func(ctx context.Context) (net.Conn, error) {
		return c.cfg.Dialer.DialAddr(ctx, network, addr)
	})
	if err != nil {
		return nil, err
	}
	return &wired{Conn: dialled, client: c}, nil
}

// wired is a connection whose first exchange, the negotiation of versions, counts as part of the
// dial: before it no request was sent. A proxy without a broker behind it accepts and closes.
type wired struct {
	*dialed.Conn
	client *Client
	alive  sync.Once
	closed sync.Once
}

func (w *wired) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 {
		w.alive.Do(func() { w.client.up.Add(1) })
	}
	if err != nil && w.Writes() <= 1 {
		err = fmt.Errorf("%w: %w", dialed.ErrDial, err)
	}
	return n, err
}

func (w *wired) Close() error {
	w.closed.Do(func() {
		wasAlive := true
		w.alive.Do(func() { wasAlive = false })
		if wasAlive {
			w.client.up.Add(-1)
		}
	})
	return w.Conn.Close()
}

// refresh throws the knowledge of leaders away, unless that was done since the epoch.
func (c *Client) refresh(epoch int64) {
	if c.epoch.CompareAndSwap(epoch, epoch+1) {
		c.transport.CloseIdleConnections()
	}
}

// Connect returns when the cluster has answered and said who its leaders are.
func (c *Client) Connect(ctx context.Context) error {
	for n := 1; ; n++ {
		epoch := c.epoch.Load()
		_, err := c.client().ApiVersions(ctx, &kafka.ApiVersionsRequest{})
		if err == nil {
			_, err = c.client().Metadata(ctx, &kafka.MetadataRequest{})
		}
		if err == nil {
			return nil
		}
		c.refresh(epoch)
		if wait := c.life.PauseBefore(ctx, n); wait != nil {
			return fmt.Errorf("connect %q over %s: %w",
				c.cfg.Client, c.cfg.Dialer.Wire(), errors.Join(wait, err))
		}
	}
}

// Close leaves the groups, committing what is settled, and returns when nothing of the client is
// left. It may not be called from within a subscription's Handle.
func (c *Client) Close() error {
	c.life.Leave()
	c.life.End()
	c.conns.Sever()
	c.life.Wait()
	c.transport.CloseIdleConnections() // the last ones: nothing is dialled any more
	c.conns.Wait()
	return nil
}

// Crash ends the client at once: it does not leave its groups, which notice by the session timeout.
func (c *Client) Crash() {
	c.life.Crash()
	c.conns.Sever()
	c.life.End()
}

var (
	_ conn.Broker  = (*Client)(nil)
	_ conn.Crasher = (*Client)(nil)
)
