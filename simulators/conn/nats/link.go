package nats

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-sim/faultline/simulators/conn/life"
)

// errDown is what is asked of a client while it has no connection: nothing was sent.
var errDown = errors.New("client is not connected")

// link is one connection, from the server's greeting to its loss. The library could connect again
// by itself, but holds its lock through the dial and the handshake: a call would hang meanwhile,
// whatever its context says. So a client makes a new link instead.
type link struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	out     *outbox
	answers *answers
	up      context.Context // ends when the link is lost, or with the client
}

// open connects once, until ctx ends.
func (c *Client) open(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	up, lost := context.WithCancel(c.life)
	d := &dialer{ctx: ctx, client: c}
	nc, err := nats.Connect("nats://wire", append(c.options(), nats.SetCustomDialer(d),
		nats.ClosedHandler(func(*nats.Conn) { lost() }))...)
	if err == nil {
		err = d.done()
	}
	var js jetstream.JetStream
	if err == nil {
		js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(answerTimeout))
	}
	var heard *answers
	if err == nil {
		heard, err = answersOver(up, nc)
	}
	if err != nil {
		lost()
		nc.Close() // does nothing where there is none
		return nil, err
	}
	return &link{nc: nc, js: js, out: d.out, answers: heard, up: up}, nil
}

func (c *Client) options() []nats.Option {
	all := []nats.Option{
		nats.Name(c.cfg.Client), nats.SkipHostLookup(), nats.IgnoreDiscoveredServers(),
		nats.NoReconnect(), nats.Timeout(dialTimeout),
		nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(mostPings),
		// Each call has its error.
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}
	if c.cfg.Password != nil {
		all = append(all, nats.UserInfoHandler(func() (string, string) {
			return c.cfg.User, c.cfg.Password()
		}))
	}
	return all
}

// dialer is the client's wire as the library wants it, for one connection.
type dialer struct {
	ctx    context.Context
	client *Client
	out    *outbox
	stop   func() bool // of closing the connection when ctx ends
}

// Dial connects over the wire; the address is the library's and means nothing. The end of the
// context ends the handshake too.
func (d *dialer) Dial(string, string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, dialTimeout)
	defer cancel()
	defer context.AfterFunc(d.client.life, cancel)()
	made, err := d.client.conns.Dial(ctx, d.client.cfg.Dialer.Dial)
	if err != nil {
		return nil, err
	}
	d.out = newOutbox(made, &d.client.sending)
	d.stop = context.AfterFunc(d.ctx, func() { d.out.Close() })
	return d.out, nil
}

// done is called when the handshake is over; an error says that the connection was closed.
func (d *dialer) done() error {
	if !d.stop() {
		return d.ctx.Err()
	}
	return nil
}

// limit bounds a request, and ends it when the connection does.
func (l *link) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	stop := context.AfterFunc(l.up, cancel)
	return ctx, func() { stop(); cancel() }
}

// flush sends what waits to be sent, acknowledgements above all, if the wire lets it.
func (l *link) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	_ = l.nc.FlushWithContext(ctx) // else the messages come again
}

// present is the link that a client has now.
type present struct {
	mu      sync.Mutex
	link    *link         // nil before the first connect, and while there is none
	changed chan struct{} // closed when link is another one
}

// set makes another link the present one and returns the one before.
func (p *present) set(l *link) (before *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, p.link = p.link, l
	close(p.changed)
	p.changed = make(chan struct{})
	return before
}

func (p *present) get() (*link, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.link, p.changed
}

// link is the present one, or an error that says that nothing can be sent.
func (c *Client) link() (*link, error) {
	l, _ := c.present.get()
	switch {
	case l != nil && !c.life.Crashed():
		return l, nil
	case c.life.Closing():
		return nil, life.ErrClosed
	}
	return nil, errDown
}

// await is the present link, or the next one where that is lost.
func (c *Client) await(ctx context.Context) (*link, error) {
	for {
		l, changed := c.present.get()
		if l != nil && l.up.Err() == nil {
			return l, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// stay keeps the client connected, by l at first, until its life ends.
func (c *Client) stay(l *link) {
	for {
		<-l.up.Done()
		if c.life.Err() != nil && !c.life.Crashed() {
			return // Close has something to send yet
		}
		c.lose()
		if l = c.reopen(); l == nil {
			return
		}
		c.present.set(l)
		c.told("connect")
	}
}

// lose ends the present link, where there is one.
func (c *Client) lose() {
	if l := c.present.set(nil); l != nil {
		l.nc.Close()
		c.told("disconnect")
	}
}

// reopen tries until there is a link; nil when the client's life has ended.
func (c *Client) reopen() *link {
	for n := 1; ; n++ {
		pause := c.cfg.ReconnectPause(n, c.rand, life.Backoff(n))
		if c.life.Pause(c.life, pause) != nil {
			return nil
		}
		if l, err := c.open(c.life); err == nil {
			return l
		}
	}
}

func (c *Client) told(state string) {
	if c.cfg.OnState != nil {
		c.cfg.OnState(state)
	}
}
