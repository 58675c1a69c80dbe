package httpx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology/wire/tracked"
)

// Request is one request as a handler sees it.
type Request struct {
	Method  string
	Path    string
	Query   url.Values
	Header  http.Header
	Body    []byte
	Message *message.Message // nil when the request carries no envelope
	Token   string           // bearer token, "" for none
	// Stopping is closed when Shutdown begins: a long poll answers then.
	Stopping <-chan struct{}

	params map[string]string
}

// Param is the value of a ":name" segment of the pattern, "" when there is none.
func (r *Request) Param(name string) string { return r.params[name] }

// Handler answers one request. Its context ends when the caller goes away or the server is
// killed. Of the Response, Status 0 is 200, Message is written as an envelope and takes the place
// of Body, and Header is added.
type Handler func(ctx context.Context, r *Request) Response

// Server answers requests on one listener. Handle, then Start; it cannot be started again.
type Server struct {
	listener net.Listener
	mux      *http.ServeMux
	http     *http.Server
	stopping chan struct{}
	stop     sync.Once
	running  sync.WaitGroup // the accepting goroutine and every connection's

	mu     sync.Mutex
	conns  tracked.Set[net.Conn]
	states map[net.Conn]http.ConnState
}

// unusedFor is how long Shutdown waits for the first request of a connection that has had none:
// net/http would wait for five seconds.
const unusedFor = 100 * time.Millisecond

// NewServer makes a server that owns the listener.
func NewServer(l net.Listener) *Server {
	s := &Server{
		listener: l,
		mux:      http.NewServeMux(),
		stopping: make(chan struct{}),
		states:   map[net.Conn]http.ConnState{},
	}
	s.http = &http.Server{
		Handler:   s.mux,
		ConnState: s.track,
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	return s
}

// Handle registers a handler for "POST /records" or, for any method, "/records". A segment
// ":name" stands for one segment of any value. A pattern that is malformed or collides with
// another is an error.
func (s *Server) Handle(pattern string, h Handler) (err error) {
	translated, names := translate(pattern)
	defer func() {
		if bad := recover(); bad != nil {
			err = fmt.Errorf("handle %q: %v", pattern, bad)
		}
	}()
	s.mux.HandleFunc(translated, func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, names, h)
	})
	return nil
}

// translate is a pattern in ServeMux's words, and the names of its wildcards in order.
func translate(pattern string) (translated string, names []string) {
	segments := strings.Split(pattern, "/")
	for i, segment := range segments {
		if name, ok := strings.CutPrefix(segment, ":"); ok && i > 0 {
			segments[i] = fmt.Sprintf("{p%d}", len(names))
			names = append(names, name)
		}
	}
	if last := len(segments) - 1; last > 0 && segments[last] == "" {
		segments[last] = "{$}" // a path that ends in a slash is itself, not all below it
	}
	return strings.Join(segments, "/"), names
}

// Start accepts connections until the server is shut down or killed.
func (s *Server) Start() {
	s.running.Go(func() { s.http.Serve(s.listener) })
}

// Addr is where it listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Shutdown accepts nothing new, lets requests in hand be answered and returns when they are; past
// the context's deadline they are killed.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop.Do(func() { close(s.stopping) })
	unused := time.AfterFunc(unusedFor, func() {
		for _, c := range s.open(http.StateNew) {
			c.Close()
		}
	})
	defer unused.Stop()
	err := s.http.Shutdown(ctx)
	s.listener.Close()
	if err != nil {
		return errors.Join(fmt.Errorf("shut down %s: %w", s.Addr(), err), s.Close())
	}
	s.running.Wait()
	return nil
}

// Kill resets every connection and ends the context of every handler. It does not wait for them,
// so a handler may call it.
func (s *Server) Kill() {
	s.stop.Do(func() { close(s.stopping) })
	for _, c := range s.open(http.StateNew, http.StateActive, http.StateIdle) {
		if abrupt, ok := c.(interface{ SetLinger(sec int) error }); ok {
			abrupt.SetLinger(0)
		}
		c.Close()
	}
	s.http.Close()
	s.listener.Close()
}

// Close kills the server and returns when no handler runs any more.
func (s *Server) Close() error {
	s.Kill()
	s.running.Wait()
	return nil
}

// track knows the open connections. New ones are reported by the accepting goroutine, closed ones
// by their own as its last act.
func (s *Server) track(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == http.StateClosed {
		s.conns.Remove(c)
		delete(s.states, c)
		s.running.Done()
		return
	}
	if state == http.StateNew {
		s.running.Add(1)
	}
	s.conns.Add(c)
	s.states[c] = state
}

// open are the connections in one of the states.
func (s *Server) open(in ...http.ConnState) []net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []net.Conn
	for _, c := range s.conns.All() {
		if slices.Contains(in, s.states[c]) {
			open = append(open, c)
		}
	}
	return open
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, names []string, h Handler) {
	body, err := readBody(r.Body, r.ContentLength)
	if errors.Is(err, errTooLarge) {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	m, err := take(r.Header, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	request := &Request{
		Method: r.Method, Path: r.URL.Path, Query: r.URL.Query(), Header: r.Header,
		Body: body, Message: m, Token: token(r.Header), Stopping: s.stopping,
		params: make(map[string]string, len(names)),
	}
	for i, name := range names {
		request.params[name] = r.PathValue(fmt.Sprintf("p%d", i))
	}
	write(w, h(r.Context(), request))
}

func write(w http.ResponseWriter, answer Response) {
	header, body := w.Header(), answer.Body
	if answer.Message != nil {
		put(header, answer.Message)
		body = answer.Message.Data
	}
	for name, values := range answer.Header {
		header[name] = values
	}
	if header.Get(contentType) == "" && len(body) > 0 {
		header.Set(contentType, message.ContentType)
	}
	status := answer.Status
	if status == 0 {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	w.Write(body) // a caller that went away is the caller's loss
}
