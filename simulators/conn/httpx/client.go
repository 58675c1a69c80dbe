package httpx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology/wire"
)

const (
	// idleConns is how many idle connections a client keeps: a caller's burst of concurrent
	// requests should not end in as many new connections.
	idleConns = 1024
	idleFor   = 90 * time.Second
)

// Response is what a request was answered.
type Response struct {
	Status  int
	Header  http.Header
	Body    []byte
	Message *message.Message // nil when the answer is not an envelope
}

// Client sends requests over one wire. It is safe for concurrent use and keeps connections alive.
type Client struct {
	transport *http.Transport
}

// NewClient makes a client; it dials when it is first asked to.
func NewClient(d wire.Dialer) *Client {
	return &Client{transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := d.Dial(ctx)
			if err != nil {
				return nil, err
			}
			return &countedConn{Conn: c}, nil
		},
		MaxIdleConnsPerHost: idleConns,
		IdleConnTimeout:     idleFor,
		DisableCompression:  true,
	}}
}

// Do sends one request and returns its answer, whatever its status. Path may carry a query. The
// message's data is the body, its attributes and token are headers; nil sends neither. An error
// wraps conn.ErrUnknown when any of the request may have reached the server.
func (c *Client) Do(
	ctx context.Context, method, path string, m *message.Message,
) (*Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	try := &try{cancel: cancel}
	req, err := newRequest(httptrace.WithClientTrace(ctx, try.trace()), method, path, m)
	if err != nil {
		return nil, err
	}
	answer, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, try.explain(method, path, err)
	}
	defer answer.Body.Close()
	body, err := readBody(answer.Body, answer.ContentLength)
	if err != nil {
		return nil, fmt.Errorf("read answer to %s %s: %w: %w", method, path, conn.ErrUnknown, err)
	}
	r := &Response{Status: answer.StatusCode, Header: answer.Header, Body: body}
	if r.Message, err = take(answer.Header, body); err != nil {
		return nil, fmt.Errorf("read answer to %s %s: %w: %w", method, path, conn.ErrUnknown, err)
	}
	return r, nil
}

// Close closes idle connections; those in use close when their request ends.
func (c *Client) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}

func newRequest(
	ctx context.Context, method, path string, m *message.Message,
) (*http.Request, error) {
	target, err := url.ParseRequestURI(path)
	if err != nil {
		return nil, fmt.Errorf("request %s %q: %w", method, path, err)
	}
	target.Scheme, target.Host = "http", "localhost"
	var data []byte
	if m != nil {
		data = m.Data
	}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("request %s %q: %w", method, path, err)
	}
	if m != nil {
		put(req.Header, m)
	}
	if m != nil && m.Token != "" {
		req.Header[authorization] = []string{bearer + m.Token}
	}
	return req, nil
}

// readBody reads a body of at most MaxBody bytes. Length is the announced one, −1 for none.
func readBody(r io.Reader, length int64) ([]byte, error) {
	if length > MaxBody {
		return nil, errTooLarge
	}
	if length >= 0 {
		body := make([]byte, length)
		_, err := io.ReadFull(r, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(r, MaxBody+1))
	if err == nil && len(body) > MaxBody {
		err = errTooLarge
	}
	return body, err
}

var (
	errTooLarge = fmt.Errorf("body is larger than %d bytes", MaxBody)
	errAgain    = errors.New("connection closed without an answer")
)

// try watches one request on its way, to tell whether any of it was written.
type try struct {
	cancel context.CancelCauseFunc
	conn   atomic.Pointer[countedConn]
	before atomic.Int64 // writes that the connection had seen before this request
}

// trace notes the connection the request gets. The transport would send a GET again by itself
// when a kept connection turns out to be closed; a second connection behind a written request
// ends it instead, because repeating is for the caller's retry policy to decide.
func (t *try) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) {
			if t.written() {
				t.cancel(errAgain)
			}
		},
		GotConn: func(info httptrace.GotConnInfo) {
			c, ok := info.Conn.(*countedConn)
			if !ok || t.written() {
				return
			}
			t.before.Store(c.writes.Load())
			t.conn.Store(c)
		},
	}
}

// written says whether the writing of the request has begun.
func (t *try) written() bool {
	c := t.conn.Load()
	return c != nil && c.writes.Load() > t.before.Load()
}

func (t *try) explain(method, path string, err error) error {
	if t.written() {
		return fmt.Errorf("%s %s: %w: %w", method, path, conn.ErrUnknown, err)
	}
	return fmt.Errorf("%s %s: %w", method, path, err)
}

// countedConn counts the writes that were begun.
type countedConn struct {
	net.Conn
	writes atomic.Int64
}

// Write counts before it writes: a write that hangs may have delivered bytes.
func (c *countedConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}
