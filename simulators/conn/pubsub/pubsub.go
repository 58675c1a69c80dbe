// Package pubsub is the Google Pub/Sub client: the service's own gRPC stubs over a wire, one
// connection a client.
//
// It is used in the run step of load → plan → run → check → report. It promises that one try of a
// publish is one request, that messages of a key go out and are handed over in order, and that what
// a consumer holds is leased in short steps, so that it comes back soon after a crash. It may not
// import an engine or the fabric's making. It is, with the engine, the only importer of
// google.golang.org/grpc and of cloud.google.com/go/pubsub.
//
// It pulls with unary calls, many messages a call, one call at a time for a subscription: one path
// for the service and its imitations, whose streams are slow (pstest gives 90 messages a second on
// one) or do not dead-letter. The libraries' retries are not used: their publish repeats what may
// have been written. It sends no credentials and no TLS.
//
// Source: google/pubsub/v1/pubsub.proto.
package pubsub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/dialed"
	"github.com/faultline-sim/faultline/simulators/conn/lane"
	"github.com/faultline-sim/faultline/simulators/conn/life"
)

const (
	// answerTimeout bounds one request that should be answered at once. Past it the answer is
	// unknown.
	answerTimeout = 10 * time.Second
	// firstPause and longestPause bound the time between two tries to connect.
	firstPause, longestPause = 50 * time.Millisecond, 400 * time.Millisecond
	// handshake is how long a connection may take to be usable.
	handshake = 2 * time.Second
	// vanished is how long a peer may be silent before the connection is given up.
	vanished = time.Minute
	// window is how many bytes a connection carries unconfirmed.
	window = 4 << 20
	// mostAnswer is how large an answer may be, in bytes: above what one pull brings.
	mostAnswer = 64 << 20
)

// Client is one Pub/Sub client. It implements conn.Broker and conn.Crasher.
type Client struct {
	cfg   conn.Config
	conns *dialed.Conns
	life  *life.Life

	channel    *grpc.ClientConn
	publisher  pb.PublisherClient
	subscriber pb.SubscriberClient
	staying    sync.Once

	telling sync.Mutex // so that the owner hears of one change after the other
	current *wired     // the latest connection that has carried an answer, nil when it is lost

	mu       sync.Mutex
	declared map[string]settings // by channel name
	lanes    map[laneID]*lane.Lane[*pb.PubsubMessage]
	turn     uint32 // for messages without a key
}

// New makes a client; it connects when it is first used.
func New(cfg conn.Config) *Client {
	c := &Client{
		cfg: cfg, conns: dialed.New(), life: life.New(),
		declared: map[string]settings{}, lanes: map[laneID]*lane.Lane[*pb.PubsubMessage]{},
	}
	var err error
	c.channel, err = grpc.NewClient("passthrough:///"+cfg.Dialer.Wire().To, c.options()...)
	if err != nil {
		panic(fmt.Sprintf("make a gRPC channel: %v", err)) // from options that do not vary
	}
	c.publisher, c.subscriber = pb.NewPublisherClient(c.channel), pb.NewSubscriberClient(c.channel)
	return c
}

// options: keep-alives are for peers that vanish. They are no quicker than the library allows, and
// need not be: after a black hole a connection goes on, and closing it during one would lose the
// answer to a pull, whose messages then stay away for the subscription's whole ack deadline.
func (c *Client) options() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(c.dial),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: firstPause, Multiplier: 1.6, Jitter: 0.2, MaxDelay: longestPause,
			},
			MinConnectTimeout: handshake,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: vanished / 2, Timeout: vanished / 2}),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithIdleTimeout(0),
		grpc.WithNoProxy(),
		grpc.WithUserAgent(c.cfg.Client),
		grpc.WithInitialWindowSize(window),
		grpc.WithInitialConnWindowSize(window),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(mostAnswer)),
		grpc.WithStatsHandler(trails{}),
	}
}

// dial connects through this client's wire.
func (c *Client) dial(ctx context.Context, _ string) (net.Conn, error) {
	dialled, err := c.conns.Dial(ctx, c.cfg.Dialer.Dial)
	if err != nil {
		return nil, err
	}
	return &wired{Conn: dialled, client: c}, nil
}

// wired is a connection that tells when it has first carried an answer and when it is lost. A proxy
// without a broker behind it accepts and closes.
type wired struct {
	*dialed.Conn
	client *Client
	alive  sync.Once
	lost   sync.Once
}

func (w *wired) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 {
		w.alive.Do(func() { w.client.up(w) })
	}
	if err != nil {
		w.lost.Do(func() { w.client.down(w) })
	}
	return n, err
}

func (w *wired) Close() error {
	w.lost.Do(func() { w.client.down(w) })
	return w.Conn.Close()
}

// up tells the owner that there is a connection; the library may have made it before it let go of
// the last one.
func (c *Client) up(w *wired) {
	c.telling.Lock()
	defer c.telling.Unlock()
	if c.current != nil {
		c.state("disconnect")
	}
	c.current = w
	c.state("connect")
}

// down tells the owner that there is no connection any more.
func (c *Client) down(w *wired) {
	c.telling.Lock()
	defer c.telling.Unlock()
	if c.current == w {
		c.current = nil
		c.state("disconnect")
	}
}

func (c *Client) state(what string) {
	if c.cfg.OnState != nil {
		c.cfg.OnState(what)
	}
}

// Connect returns when the service has answered; from then on the connection is kept up.
func (c *Client) Connect(ctx context.Context) error {
	for n := 1; ; n++ {
		_, err := c.publisher.ListTopics(ctx, &pb.ListTopicsRequest{Project: project, PageSize: 1})
		switch {
		case err == nil:
			c.staying.Do(func() { c.life.Go(c.stay) })
			return nil
		case isRefusal(err):
			return fmt.Errorf("connect %q over %s: %w: check the project's permissions: %w",
				c.cfg.Client, c.cfg.Dialer.Wire(), conn.ErrRefused, err)
		}
		if wait := c.life.PauseBefore(ctx, n); wait != nil {
			return fmt.Errorf("connect %q over %s: %w",
				c.cfg.Client, c.cfg.Dialer.Wire(), errors.Join(wait, err))
		}
	}
}

// stay connects again whenever the library would wait for the next call.
func (c *Client) stay() {
	for {
		state := c.channel.GetState()
		if state == connectivity.Idle {
			c.channel.Connect()
		}
		if !c.channel.WaitForStateChange(c.life, state) {
			return
		}
	}
}

// Close gives back what consumers have not settled and returns when nothing of the client is left.
// It may not be called from within a subscription's Handle.
func (c *Client) Close() error {
	c.life.Leave()
	c.life.End()
	c.conns.Sever() // else the library waits to say goodbye over a wire that may be cut
	err := c.channel.Close()
	c.life.Wait()
	c.conns.Wait()
	if errors.Is(err, grpc.ErrClientConnClosing) {
		return nil // closed before
	}
	return err
}

// Crash ends the client at once: what its consumers hold comes back when its lease is over.
func (c *Client) Crash() {
	c.life.Crash()
	c.conns.Sever()
	c.life.End()
}

var (
	_ conn.Broker  = (*Client)(nil)
	_ conn.Crasher = (*Client)(nil)
)
