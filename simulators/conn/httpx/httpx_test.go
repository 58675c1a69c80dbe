package httpx_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/httpx"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
)

var over = topology.Wire{From: "gateway", To: "data_api"}

// bed is a server behind a wire, and a client of it.
type bed struct {
	fabric wire.Fabric
	server *httpx.Server
	client *httpx.Client
}

// routes are the handlers of a server, by pattern.
type routes map[string]httpx.Handler

// answering is a handler that gives a status.
func answering(status int) httpx.Handler {
	return func(context.Context, *httpx.Request) httpx.Response {
		return httpx.Response{Status: status}
	}
}

func newBed(t testing.TB, r routes) bed {
	t.Helper()
	fabric, err := wire.New(wire.Options{Wires: []topology.Wire{over}})
	if err != nil {
		t.Fatal(err)
	}
	b := bed{fabric, serve(t, fabric, r), httpx.NewClient(fabric.Dialer(over, 0))}
	t.Cleanup(func() {
		err := errors.Join(b.client.Close(), b.server.Close(), fabric.Close())
		if err != nil {
			t.Error(err)
		}
	})
	return b
}

func serve(t testing.TB, fabric wire.Fabric, r routes) *httpx.Server {
	t.Helper()
	l, err := fabric.Listen(over.To, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := httpx.NewServer(l)
	for pattern, h := range r {
		if err := s.Handle(pattern, h); err != nil {
			t.Fatal(err)
		}
	}
	s.Start()
	return s
}

func telemetry() *message.Message {
	return &message.Message{
		Flow: "원격-측정", Number: 7, Source: "device.hw/17", Subject: "장치 \"17\"%",
		Time:  time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Trace: [16]byte{1, 15: 2}, Span: [8]byte{3}, Key: "hw 17", KeySeq: 3, Attempt: 2,
		ParentFlow: "telemetry", ParentNumber: 4, Token: "abc.def.ghi",
		Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		Headers: map[string]string{"reason": "a=b&c; d"}, Data: []byte(`{"온도":21}`),
	}
}

func TestAnEnvelopeTravelsBothWays(t *testing.T) {
	var got *httpx.Request
	keep := func(_ context.Context, r *httpx.Request) httpx.Response {
		got = r
		return httpx.Response{Status: http.StatusAccepted, Message: r.Message}
	}
	b := newBed(t, routes{"POST /records/:id/parts/:part": keep})
	want := telemetry()
	answer, err := b.client.Do(t.Context(), "POST", "/records/a%2Fb/parts/2?dry=1", want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Message); diff != "" {
		t.Errorf("message at the server (-sent +got):\n%s", diff)
	}
	params := []string{
		got.Param("id"), got.Param("part"), got.Param("none"), got.Query.Get("dry"), got.Token,
	}
	if diff := cmp.Diff([]string{"a/b", "2", "", "1", "abc.def.ghi"}, params); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	back := want.With(func(m *message.Message) { m.Token = "" })
	if diff := cmp.Diff(back, answer.Message); diff != "" || answer.Status != http.StatusAccepted {
		t.Errorf("answer %d (-sent +got):\n%s", answer.Status, diff)
	}
}

func TestAStatusIsAnAnswer(t *testing.T) {
	b := newBed(t, routes{
		"/busy": func(context.Context, *httpx.Request) httpx.Response {
			return httpx.Response{Status: 429, Body: []byte(`{"wait":1}`),
				Header: http.Header{"Retry-After": {"1"}}}
		},
		"GET /nothing":  answering(0),
		"GET /folder/":  answering(204),
		"POST /records": answering(0),
	})
	bad := telemetry().With(func(m *message.Message) { m.Source = "" })
	for _, c := range []struct {
		name, method, path string
		m                  *message.Message
		status             int
		body               string
	}{
		{"refused", "PUT", "/busy", nil, 429, `{"wait":1}`},
		{"empty", "GET", "/nothing", nil, 200, ""},
		{"itself", "GET", "/folder/", nil, 204, ""},
		{"below", "GET", "/folder/x", nil, 404, "404 page not found\n"},
		{"method", "GET", "/records", nil, 405, "Method Not Allowed\n"},
		{"malformed", "POST", "/records", bad, 400, "check message \"원격-측정-7\": it has no source\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer, err := b.client.Do(t.Context(), c.method, c.path, c.m)
			if err != nil {
				t.Fatal(err)
			}
			if answer.Status != c.status || string(answer.Body) != c.body || answer.Message != nil {
				t.Errorf("answered %d %q, want %d %q", answer.Status, answer.Body, c.status, c.body)
			}
		})
	}
}

func TestBadPatternsAreErrors(t *testing.T) {
	b := newBed(t, routes{"GET /a/:x": nil})
	for _, pattern := range []string{"GET /a/:y", "GET a", "", "GET /{"} {
		if err := b.server.Handle(pattern, nil); err == nil {
			t.Errorf("pattern %q was taken", pattern)
		}
	}
}

// await is a handler that tells that it was reached, then waits for its context.
func await(reached chan<- struct{}) httpx.Handler {
	return func(ctx context.Context, _ *httpx.Request) httpx.Response {
		reached <- struct{}{}
		<-ctx.Done()
		return httpx.Response{}
	}
}

func TestAnErrorIsUnknownOnceTheRequestWasWritten(t *testing.T) {
	reached := make(chan struct{}, 1)
	hang := routes{"/hang": await(reached)}
	for _, c := range []struct {
		name string
		fail func(b bed, cancel func())
	}{
		{"deadline while it is handled", func(_ bed, cancel func()) { <-reached; cancel() }},
		{"server killed while it is handled", func(b bed, _ func()) { <-reached; b.server.Kill() }},
	} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(c.name+"/"+method, func(t *testing.T) {
				b := newBed(t, hang)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go c.fail(b, cancel)
				_, err := b.client.Do(ctx, method, "/hang", nil)
				if !errors.Is(err, conn.ErrUnknown) {
					t.Errorf("got %v, want an error that wraps ErrUnknown", err)
				}
			})
		}
	}
}

func TestAnErrorIsDefiniteBeforeTheRequestWasWritten(t *testing.T) {
	b := newBed(t, routes{"/ok": answering(0)})
	over := b.fabric.Dialer(over, 0).Wire()
	cut, err := b.fabric.Inject(t.Context(), wire.Fault{
		Name: "cut", Wire: over, Replica: -1, Kind: wire.Cut, Direction: wire.Both,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.client.Do(t.Context(), "GET", "/ok", nil)
	if err == nil || errors.Is(err, conn.ErrUnknown) {
		t.Errorf("got %v for a refused connection, want a definite error", err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.client.Do(done, "GET", "/ok", nil); !errors.Is(err, context.Canceled) ||
		errors.Is(err, conn.ErrUnknown) {
		t.Errorf("got %v for a context that had ended, want a definite error", err)
	}
	if err := cut.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.client.Do(t.Context(), "GET", "/ok", nil); err != nil {
		t.Errorf("after the heal: %v", err)
	}
}

// TestRequestsGoRoundTheReplicas has one client that asks one request after the other, over kept
// connections.
func TestRequestsGoRoundTheReplicas(t *testing.T) {
	fabric, err := wire.New(wire.Options{Wires: []topology.Wire{over}})
	if err != nil {
		t.Fatal(err)
	}
	defer fabric.Close()
	var asked [3]int
	var servers []*httpx.Server
	for replica := range asked {
		l, err := fabric.Listen(over.To, replica)
		if err != nil {
			t.Fatal(err)
		}
		s := httpx.NewServer(l)
		err = s.Handle("GET /ok", func(context.Context, *httpx.Request) httpx.Response {
			asked[replica]++
			return httpx.Response{Status: 204}
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		defer s.Close()
		servers = append(servers, s)
	}
	client := httpx.NewClient(fabric.Dialer(over, 0))
	defer client.Close()
	ask := func(n int) {
		for range n {
			if _, err := client.Do(t.Context(), "GET", "/ok", nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	ask(30)
	if diff := cmp.Diff([3]int{10, 10, 10}, asked); diff != "" {
		t.Errorf("three replicas/30 requests of one caller (-want +got):\n%s", diff)
	}
	if err := servers[1].Close(); err != nil {
		t.Fatal(err)
	}
	ask(30)
	if asked[1] != 10 || asked[0]+asked[2] != 50 || asked[0] < 20 || asked[2] < 20 {
		t.Errorf("one replica does not listen/30 more requests/%d, want the other two to share them", asked)
	}
}

// TestARequestIsNeverSentTwice has a far end that closes kept connections without an answer: the
// moment in which net/http would send a GET again by itself.
func TestARequestIsNeverSentTwice(t *testing.T) {
	dialer := &dropping{}
	client := httpx.NewClient(dialer)
	for i := range 4 {
		_, err := client.Do(t.Context(), "GET", "/", nil)
		if i%2 == 0 && err != nil || i%2 == 1 && !errors.Is(err, conn.ErrUnknown) {
			t.Fatalf("request %d: got %v; each second one should be unknown", i, err)
		}
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	dialer.served.Wait()
	if dialer.requests != 4 {
		t.Errorf("%d requests arrived of 4 that were made", dialer.requests)
	}
}

// dropping is a far end in memory that answers the first request of each connection and closes
// at the second.
type dropping struct {
	mu       sync.Mutex
	requests int
	served   sync.WaitGroup
}

func (d *dropping) Dial(context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	d.served.Go(func() { d.serve(far) })
	return near, nil
}

func (d *dropping) serve(c net.Conn) {
	defer c.Close()
	for n := range 2 {
		if !readHead(c) {
			return
		}
		d.mu.Lock()
		d.requests++
		d.mu.Unlock()
		if n == 0 {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}
}

func readHead(c net.Conn) bool {
	var head strings.Builder
	b := make([]byte, 1024)
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		n, err := c.Read(b)
		if err != nil {
			return false
		}
		head.Write(b[:n])
	}
	return true
}

func (d *dropping) Next() string        { return "" }
func (d *dropping) Endpoints() []string { return nil }
func (d *dropping) Wire() topology.Wire { return over }

func (d *dropping) DialAddr(ctx context.Context, _, _ string) (net.Conn, error) {
	return d.Dial(ctx)
}

func TestShutdownAnswersWhatIsInHand(t *testing.T) {
	reached, finish := make(chan struct{}), make(chan struct{})
	b := newBed(t, routes{
		"/work": func(context.Context, *httpx.Request) httpx.Response {
			reached <- struct{}{}
			<-finish
			return httpx.Response{Status: 201}
		},
		"/poll": func(_ context.Context, r *httpx.Request) httpx.Response {
			reached <- struct{}{}
			<-r.Stopping
			return httpx.Response{Status: 204}
		},
	})
	statuses := make(chan string, 2)
	for _, path := range []string{"/work", "/poll"} {
		go func() {
			answer, err := b.client.Do(t.Context(), "GET", path, nil)
			if err != nil {
				statuses <- err.Error()
				return
			}
			statuses <- fmt.Sprint(path, " ", answer.Status)
		}()
		<-reached
	}
	down := make(chan error)
	go func() { down <- b.server.Shutdown(t.Context()) }()
	if got := <-statuses; got != "/poll 204" {
		t.Errorf("first answer %q, want that of the long poll", got)
	}
	close(finish)
	if got := <-statuses; got != "/work 201" {
		t.Errorf("second answer %q, want that of the work", got)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}

func TestShutdownDoesNotWaitForAConnectionThatWasNeverUsed(t *testing.T) {
	b := newBed(t, routes{"/ok": answering(0)})
	idle, err := b.fabric.Dialer(over, 0).Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	// Answered after the idle one was accepted: connections are accepted in order.
	if _, err := b.client.Do(t.Context(), "GET", "/ok", nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if err := b.server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

func TestKillFromAHandlerAndAServerAnew(t *testing.T) {
	var b bed
	r := routes{"/crash": func(ctx context.Context, _ *httpx.Request) httpx.Response {
		b.server.Kill()
		<-ctx.Done()
		return httpx.Response{}
	}}
	b = newBed(t, r)
	addr := b.server.Addr()
	_, err := b.client.Do(t.Context(), "POST", "/crash", telemetry())
	if !errors.Is(err, conn.ErrUnknown) {
		t.Errorf("got %v from a server that crashed, want ErrUnknown", err)
	}
	if err := b.server.Close(); err != nil {
		t.Fatal(err)
	}
	b.server = serve(t, b.fabric, routes{"/ok": answering(0)})
	if b.server.Addr() != addr {
		t.Errorf("address %s, was %s", b.server.Addr(), addr)
	}
	if _, err := b.client.Do(t.Context(), "GET", "/ok", nil); err != nil {
		t.Errorf("a server that came again: %v", err)
	}
}

func TestHundredsOfRequestsAtOnce(t *testing.T) {
	const many = 300
	var all sync.WaitGroup
	all.Add(many)
	b := newBed(t, routes{"/meet": func(context.Context, *httpx.Request) httpx.Response {
		all.Done()
		all.Wait() // answered only when all are here
		return httpx.Response{}
	}})
	errs := make([]error, many)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { _, errs[i] = b.client.Do(t.Context(), "POST", "/meet", telemetry()) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

// BenchmarkDo compares the client and server with a bare loop over net/http, on the same wire, by
// turns in one run. The metrics are requests a second of each and this package's share.
func BenchmarkDo(b *testing.B) {
	m := telemetry()
	bed := newBed(b, routes{"POST /records": func(_ context.Context, r *httpx.Request) httpx.Response {
		return httpx.Response{Status: 202, Body: r.Body}
	}})
	bare := http.NewServeMux()
	bare.HandleFunc("POST /records", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		io.Copy(w, r.Body)
	})
	l, err := bed.fabric.Listen("bare", 0)
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: bare}
	go server.Serve(l)
	b.Cleanup(func() { server.Close() })
	dialer := bed.fabric.Dialer(topology.Wire{From: over.From, To: "bare"}, 0)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.Dial(ctx) }
	transport := &http.Transport{DialContext: dial}
	b.Cleanup(transport.CloseIdleConnections)
	var ours, hand time.Duration
	n := 0
	for b.Loop() {
		begun := time.Now()
		if _, err := bed.client.Do(b.Context(), "POST", "/records", m); err != nil {
			b.Fatal(err)
		}
		between := time.Now()
		if err := bareDo(b.Context(), transport, m); err != nil {
			b.Fatal(err)
		}
		ours, hand, n = ours+between.Sub(begun), hand+time.Since(between), n+1
	}
	b.ReportMetric(float64(n)/ours.Seconds(), "client/s")
	b.ReportMetric(float64(n)/hand.Seconds(), "bare/s")
	b.ReportMetric(hand.Seconds()/ours.Seconds(), "ratio")
}

func bareDo(ctx context.Context, transport *http.Transport, m *message.Message) error {
	const url = "http://localhost/records"
	req, err := http.NewRequestWithContext(ctx, "POST", url, bytes.NewReader(m.Data))
	if err != nil {
		return err
	}
	m.Attributes(func(name, value string) bool {
		req.Header.Set("ce-"+name, message.EscapeHeader(value))
		return true
	})
	answer, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
