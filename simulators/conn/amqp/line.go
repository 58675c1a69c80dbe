package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/life"
)

const (
	// heartbeat is the interval that is agreed on with the broker, which gives a silent client up
	// after one to two of them.
	heartbeat = 2 * time.Second
	// openWithin bounds one try to connect, handshake included; each answer in it has silence.
	openWithin = 10 * time.Second
	// The user that RabbitMQ has from the beginning, where none is named.
	defaultUser = "guest"
)

// line is one AMQP connection, dialled again whenever it is lost, from its first use on.
type line struct {
	client *Client
	name   string // what the broker shows beside the client's id

	mu      sync.Mutex
	begun   bool
	now     *session      // nil while there is none
	err     error         // why there is none
	changed chan struct{} // closed at the next change
}

func newLine(c *Client, name string) *line {
	return &line{client: c, name: name, changed: make(chan struct{})}
}

// session is the connection that is up, waited for until ctx ends. A refusal is answered at once.
func (l *line) session(ctx context.Context) (*session, error) {
	for l.begin() {
		l.mu.Lock()
		now, err, changed := l.now, l.err, l.changed
		l.mu.Unlock()
		switch {
		case now != nil:
			return now, nil
		case errors.Is(err, conn.ErrRefused):
			return nil, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-l.client.life.Done():
			return nil, life.ErrClosed
		}
	}
	return nil, life.ErrClosed
}

// begin dials when the line is first used; false when the client is closed.
func (l *line) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.begun {
		l.begun = l.client.life.Go(l.keep)
	}
	return l.begun
}

// keep connects, and connects again when the connection is lost, until the client is closed. The
// first try comes soon after a loss.
func (l *line) keep() {
	c := l.client
	for failures := 0; c.life.Err() == nil; {
		s, err := c.open(l.name)
		if err != nil {
			failures++
			l.set(nil, err)
			_ = c.life.Pause(c.life, c.reconnectPause(failures)) // the loop sees why it failed
			continue
		}
		failures = 0
		l.set(s, nil)
		c.up.Add(1)
		<-s.lost
		l.set(nil, errLost)
		c.up.Add(-1)
		_ = c.life.Pause(c.life, c.reconnectPause(1))
	}
}

func (l *line) set(s *session, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now, l.err = s, err
	close(l.changed)
	l.changed = make(chan struct{})
}

// leave says goodbye to the broker, if there is a connection, and not for long.
func (l *line) leave() {
	l.mu.Lock()
	s := l.now
	l.mu.Unlock()
	if s == nil || l.client.life.Crashed() {
		return
	}
	done := make(chan struct{})
	l.client.life.Beside(func() { // nothing else waits for it yet: the line is still kept
		defer close(done)
		_ = s.conn.Close()
	})
	timer := time.NewTimer(goodbye)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// open dials and shakes hands.
func (c *Client) open(name string) (*session, error) {
	ctx, cancel := context.WithTimeout(c.life, openWithin)
	defer cancel()
	dialled, err := c.conns.Dial(ctx, c.cfg.Dialer.Dial)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { dialled.Conn.Close() })
	made, err := amqp.Open(&wired{dialled}, c.settings(name))
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		dialled.Close() // the library's reader notices and ends
		return nil, c.asRefused(err)
	}
	return c.watch(made), nil
}

// settings are those of one try to connect.
func (c *Client) settings(name string) amqp.Config {
	properties := amqp.Table{
		"product": "faultline", "connection_name": c.cfg.Client + " " + name,
	}
	credentials := amqp.PlainAuth{Username: defaultUser, Password: defaultUser}
	if c.cfg.User != "" {
		credentials = amqp.PlainAuth{Username: c.cfg.User}
	}
	if c.cfg.Password != nil {
		credentials.Password = c.cfg.Password()
	}
	return amqp.Config{
		SASL: []amqp.Authentication{&login{credentials, properties}}, Vhost: "/",
		Heartbeat: heartbeat, Properties: properties, Locale: "en_US",
	}
}

// login also asks the broker to say that it refuses credentials. Without that it waits for three
// seconds and closes, which looks like any lost connection. The library makes the table of
// capabilities before it asks for the response.
type login struct {
	amqp.PlainAuth
	properties amqp.Table
}

func (l *login) Response() string {
	if all, ok := l.properties["capabilities"].(amqp.Table); ok {
		all["authentication_failure_close"] = true
	}
	return l.PlainAuth.Response()
}

// asRefused tells a refusal by the broker from a connection that did not come about. The library
// says the same of both where the broker said nothing.
func (c *Client) asRefused(err error) error {
	var said *amqp.Error
	if !errors.As(err, &said) || !said.Server {
		return fmt.Errorf("shake hands: %w", err)
	}
	switch said.Code {
	case amqp.AccessRefused, amqp.NotAllowed:
		user := c.cfg.User
		if user == "" {
			user = defaultUser
		}
		return fmt.Errorf("%w: %w: give %q the password that the broker knows, and access to \"/\"",
			conn.ErrRefused, err, user)
	}
	return fmt.Errorf("shake hands: %w", err)
}
