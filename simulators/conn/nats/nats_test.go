package nats_test

import (
	"context"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/conn/nats"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	embedded "github.com/faultline-sim/faultline/topology/engine/embedded/nats"
)

func start(t testing.TB, authenticate func(user, password string) error) *conntest.Site {
	t.Helper()
	return conntest.Start(t, embedded.New, engine.Config{
		Node:         &topology.Node{Name: "stream", Kind: topology.Broker, Protocol: "nats"},
		Authenticate: authenticate,
	})
}

// client is a connected client that has declared the channel events.
func client(t testing.TB, s *conntest.Site, name string, channels ...*topology.Channel) *nats.Client {
	t.Helper()
	c := nats.New(conn.Config{Dialer: s.Dialer(), Client: name})
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	channels = append(channels, &topology.Channel{
		Ref: "stream/events", Parallel: 1, Groups: []string{"workers"},
	})
	if err := c.Declare(t.Context(), channels); err != nil {
		t.Fatal(err)
	}
	return c
}

func letter(key string, n int64) *message.Message {
	return &message.Message{
		Flow: "telemetry", Number: n, Source: "device.hw/17", Subject: "hw-17",
		Time:  time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		Trace: [16]byte{1, 15: byte(n)}, Span: [8]byte{7: 1},
		Key: key, KeySeq: n, ParentNumber: -1, Data: []byte(`{"temp":71.5}`),
	}
}

// byHand is a connection of the bare library over the same wire.
func byHand(t testing.TB, s *conntest.Site) *natsgo.Conn {
	t.Helper()
	nc, err := natsgo.Connect("nats://wire", natsgo.SkipHostLookup(),
		natsgo.SetCustomDialer(wired{t.Context(), s}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

type wired struct {
	ctx  context.Context
	site *conntest.Site
}

func (w wired) Dial(string, string) (net.Conn, error) { return w.site.Dialer().Dial(w.ctx) }

func subscribe(t testing.TB, c conn.Broker) <-chan conn.Delivery {
	t.Helper()
	got := make(chan conn.Delivery, 1000)
	err := c.Subscribe(t.Context(), conn.Subscription{
		Channel: "events", Group: "workers", Handle: func(d conn.Delivery) { got <- d },
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWhatIsNoEnvelopeIsToldAsItIs(t *testing.T) {
	s := start(t, nil)
	c := client(t, s, "worker")
	got := subscribe(t, c)
	if err := byHand(t, s).Publish("events.0", []byte("plain text")); err != nil {
		t.Fatal(err)
	}
	d := conntest.Receive(t, got)
	if d.Err == nil || d.Message != nil || string(d.Raw) != "plain text" {
		t.Errorf("delivery %+v, want an error and the bytes", d)
	}
	if err := d.Ack(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAttributesAreHeadersInBinaryMode(t *testing.T) {
	s := start(t, nil)
	c := client(t, s, "app")
	nc := byHand(t, s)
	sub, err := nc.SubscribeSync("events.*")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(10 * time.Second); err != nil { // then the server has it
		t.Fatal(err)
	}
	want := letter("장치 1", 3)
	if _, err := c.Publish(t.Context(), "events", want); err != nil {
		t.Fatal(err)
	}
	msg, err := sub.NextMsg(10 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"ce-specversion": "1.0", "ce-id": "telemetry-3", "ce-type": "faultline.telemetry",
		"ce-partitionkey": message.EscapeHeader("장치 1"), "content-type": "application/json",
		"traceparent": want.Traceparent(),
	} {
		if got := msg.Header.Get(name); got != value && msg.Header[name] == nil {
			t.Errorf("header %s is %q, want %q", name, got, value)
		} else if values := msg.Header[name]; len(values) != 1 || values[0] != value {
			t.Errorf("header %s is %q, want %q", name, values, value)
		}
	}
}

func TestWrongCredentialsAreRefusedAtOnce(t *testing.T) {
	s := start(t, func(user, password string) error {
		if user == "app" && password == "right" {
			return nil
		}
		return context.Canceled
	})
	for password, want := range map[string]string{
		"right": "", "wrong": "change its user or password",
	} {
		c := nats.New(conn.Config{Dialer: s.Dialer(), Client: "app", User: "app",
			Password: func() string { return password }})
		err := c.Connect(t.Context())
		switch {
		case want == "" && err != nil:
			t.Errorf("%s password: %v", password, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s password: error %v, want one with %q", password, err, want)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestNamesAreKeptApart(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"a/b", "a.b", "a_b", "a-b", "a_2fb", "주문", "%", "a b", "a>b", "a*b"} {
		token := nats.Token(name)
		if other, taken := seen[token]; taken {
			t.Errorf("%q and %q are both %q", name, other, token)
		}
		seen[token] = name
		if strings.ContainsAny(token, " .*>/\\") {
			t.Errorf("%q is no token of a subject", token)
		}
	}
}

func TestNothingIsLeftOfAClientThatCrashed(t *testing.T) {
	s := start(t, nil)
	client(t, s, "declares").Close()
	before := runtime.NumGoroutine()
	c := nats.New(conn.Config{Dialer: s.Dialer(), Client: "worker"})
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	subscribe(t, c)
	c.Crash()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	conntest.NoneLeft(t, before)
}
