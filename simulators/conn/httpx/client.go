package httpx

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology/wire"
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
	transport *Transport
}

// NewClient makes a client; it dials when it is first asked to.
func NewClient(d wire.Dialer) *Client { return &Client{transport: NewTransport(d)} }

// Do sends one request and returns its answer, whatever its status. Path may carry a query. The
// message's data is the body, its attributes and token are headers; nil sends neither. An error
// wraps conn.ErrUnknown when any of the request may have reached the server.
func (c *Client) Do(
	ctx context.Context, method, path string, m *message.Message,
) (*Response, error) {
	req, err := newRequest(ctx, method, path, m)
	if err != nil {
		return nil, err
	}
	answer, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
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

// Close ends the client: connections in use are cut, and none is left when it returns.
func (c *Client) Close() error { return c.transport.Close() }

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

var errTooLarge = fmt.Errorf("body is larger than %d bytes", MaxBody)
