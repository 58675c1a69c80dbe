package httpx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/dialed"
	"github.com/faultline-sim/faultline/topology/wire"
)

const (
	// idleConns is how many idle connections are kept: a burst of concurrent requests should not
	// end in as many new connections.
	idleConns = 1024
	idleFor   = 90 * time.Second
)

// Transport is an http.RoundTripper over one wire, for Client and for libraries that speak HTTP.
// One RoundTrip is at most one request on the wire; its errors wrap conn.ErrUnknown when any of
// the request may have reached the server.
type Transport struct {
	conns  *dialed.Conns
	dialer wire.Dialer
	http   *http.Transport
}

// anywhere is dialled where the far end has not said what replicas it has.
const anywhere = "anywhere:80"

// NewTransport makes a transport; every host of every request is the wire's far end. Requests go
// round its replicas, as a balancer in front of them would have it: each replica has kept connections
// of its own.
func NewTransport(d wire.Dialer) *Transport {
	conns := dialed.New()
	return &Transport{conns: conns, dialer: d, http: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := conns.Dial(ctx, func(ctx context.Context) (net.Conn, error) {
				if addr == anywhere {
					return d.Dial(ctx)
				}
				return d.DialAddr(ctx, network, addr)
			})
			if err != nil {
				return nil, err
			}
			return c, nil
		},
		MaxIdleConnsPerHost: idleConns,
		IdleConnTimeout:     idleFor,
		DisableCompression:  true,
	}}
}

// RoundTrip sends one request.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	try := &try{cancel: cancel}
	answer, err := t.http.RoundTrip(t.balance(req.WithContext(
		httptrace.WithClientTrace(ctx, try.trace()))))
	if sent, ok := ctx.Value(sentKey{}).(*Sent); ok && try.written() {
		sent.begun.Store(true)
	}
	if err != nil {
		cancel(nil)
		return nil, try.explain(err)
	}
	answer.Body = &answerBody{answer.Body, cancel}
	return answer, nil
}

// balance sends a request, which is the transport's own copy, to the next replica.
func (t *Transport) balance(req *http.Request) *http.Request {
	target := *req.URL
	if req.Host == "" {
		req.Host = target.Host
	}
	if target.Host = t.dialer.Next(); target.Host == "" {
		target.Host = anywhere
	}
	req.URL = &target
	return req
}

// Close cuts every connection and returns when none is left.
func (t *Transport) Close() error {
	t.http.CloseIdleConnections()
	t.conns.Sever()
	t.conns.Wait()
	return nil
}

// Sent tells whether any of a context's requests was written, for callers behind a library that
// does not keep a transport's errors.
type Sent struct{ begun atomic.Bool }

type sentKey struct{}

// WithSent is a context whose requests are watched.
func WithSent(ctx context.Context) (context.Context, *Sent) {
	s := new(Sent)
	return context.WithValue(ctx, sentKey{}, s), s
}

// Begun says whether the writing of a request has begun.
func (s *Sent) Begun() bool { return s.begun.Load() }

// answerBody ends the request's context when the answer has been read.
type answerBody struct {
	io.ReadCloser
	end context.CancelCauseFunc
}

// Close closes the body.
func (b *answerBody) Close() error {
	err := b.ReadCloser.Close()
	b.end(nil)
	return err
}

var errAgain = errors.New("connection closed without an answer")

// try watches one request on its way, to tell whether any of it was written.
type try struct {
	cancel context.CancelCauseFunc
	conn   atomic.Pointer[dialed.Conn]
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
			c, ok := info.Conn.(*dialed.Conn)
			if !ok || t.written() {
				return
			}
			t.before.Store(c.Writes())
			t.conn.Store(c)
		},
	}
}

// written says whether the writing of the request has begun.
func (t *try) written() bool {
	c := t.conn.Load()
	return c != nil && c.Writes() > t.before.Load()
}

func (t *try) explain(err error) error {
	if t.written() {
		return fmt.Errorf("%w: %w", conn.ErrUnknown, err)
	}
	return err
}
