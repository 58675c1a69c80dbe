package mqtt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/faultline-sim/faultline/simulators/conn/dialed"
)

const (
	// connectTimeout bounds one try to connect, handshake included.
	connectTimeout = 5 * time.Second
	// writerBusy is how long a publish waits for paho's writer before it asks whether the connection
	// is still there.
	writerBusy = 250 * time.Millisecond
	// goodbye is how long a DISCONNECT may take.
	goodbye = 250 * time.Millisecond
	// defaultKeepAlive is used where the session does not say.
	defaultKeepAlive = 30 * time.Second
)

// link is one connection, from its CONNACK until it is lost.
type link struct {
	paho    paho.Client
	conn    *dialed.Conn
	present bool // the broker had kept the session
	lost    chan struct{}
	once    sync.Once
	acks    acker
	posting bool // guarded by the outbox
}

// lose marks the link as lost.
func (l *link) lose() { l.once.Do(func() { close(l.lost) }) }

// watchedConn tells its link of the first read that fails; paho keeps some failures to itself.
type watchedConn struct {
	*dialed.Conn
	link *link
}

func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.link.lose()
	}
	return n, err
}

func (c *watchedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err == nil {
		c.link.acks.wrote(b)
	}
	return n, err
}

// SetWriteDeadline does nothing: paho would give each write the time meant for waiting, and a
// slow wire is no lost one.
func (c *watchedConn) SetWriteDeadline(time.Time) error { return nil }

func (l *link) isLost() bool {
	select {
	case <-l.lost:
		return true
	default:
		return false
	}
}

// keepConnected tries to connect, and connects again when the connection is lost, until the client
// is closed.
func (c *Client) keepConnected() {
	for failures := 0; c.life.Err() == nil; {
		l, err := c.open()
		if err != nil {
			failures++
			c.set(nil, err)
			c.wait(failures)
			continue
		}
		failures = 0
		c.attend(l)
		c.wait(1)
	}
}

// attend sees a link to its end.
func (c *Client) attend(l *link) {
	missing := c.inbox.missing(l.present) // whoever subscribes from now on asks by himself
	c.set(l, nil)
	c.state("connect")
	c.life.Go(func() { c.resubscribe(l, missing) })
	c.out.flush(c, l)
	select {
	case <-l.lost:
	case <-c.life.Done():
	}
	c.set(nil, errors.New("connection lost"))
	l.end(c.life.Err() != nil && !c.life.Crashed())
	c.state("disconnect")
}

// end closes a link, after a DISCONNECT when it is a polite one, and returns when paho has ended.
func (l *link) end(polite bool) {
	if polite {
		l.acks.finish()
	} else {
		l.conn.Conn.Close() // paho notices, and closes its own
	}
	l.paho.Disconnect(uint(goodbye.Milliseconds()))
	l.lose()
	l.conn.Close()
	l.acks.lost()
}

// set tells everyone who waits what the connection is now.
func (c *Client) set(l *link, err error) {
	c.mu.Lock()
	c.link, c.last = l, err
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
}

// wait pauses before the n-th try in a row, or until the client is closed.
func (c *Client) wait(n int) {
	least, most := c.pause.Pause(n)
	pause := least
	if most > least {
		pause += time.Duration(c.rand.Int64N(int64(most - least)))
	}
	_ = c.life.Pause(c.life, pause) // who asks sees why it ended
}

// open makes one try to connect.
func (c *Client) open() (*link, error) {
	l := &link{lost: make(chan struct{})}
	ctx, cancel := context.WithTimeout(c.life, connectTimeout)
	defer cancel()
	watched := func() bool { return true }
	options := c.options(l)
	options.SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
		dialled, err := c.conns.Dial(ctx, c.cfg.Dialer.Dial)
		if err != nil {
			return nil, err
		}
		l.conn = dialled
		watched = context.AfterFunc(ctx, func() { dialled.Conn.Close() })
		return &watchedConn{dialled, l}, nil
	})
	l.paho = paho.NewClient(options)
	token := l.paho.Connect().(*paho.ConnectToken)
	<-token.Done() // the handshake ends with ctx, at the latest
	watched()
	if err := token.Error(); err != nil {
		return nil, fmt.Errorf("connect over %s: %w", c.cfg.Dialer.Wire(), err)
	}
	l.present = token.SessionPresent()
	return l, nil
}

// options is what a connection of this client asks for. The password is asked for each time.
func (c *Client) options(l *link) *paho.ClientOptions {
	keepAlive := c.cfg.Session.KeepAlive
	if keepAlive <= 0 {
		keepAlive = defaultKeepAlive
	}
	o := paho.NewClientOptions().
		AddBroker("tcp://wire").
		SetClientID(c.cfg.Client).
		SetProtocolVersion(4).
		SetCleanSession(c.cfg.Session.Clean).
		SetConnectTimeout(connectTimeout).
		SetKeepAlive(keepAlive).
		SetPingTimeout(min(keepAlive, 10*time.Second)).
		SetWriteTimeout(writerBusy).
		SetAutoReconnect(false).
		SetAutoAckDisabled(true).
		SetStore(forgetful{}).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { c.arrived(l, m) }).
		SetConnectionLostHandler(func(paho.Client, error) { l.lose() })
	if c.cfg.User != "" {
		o.SetUsername(c.cfg.User)
	}
	if c.cfg.Password != nil {
		o.SetPassword(c.cfg.Password())
	}
	return o
}
