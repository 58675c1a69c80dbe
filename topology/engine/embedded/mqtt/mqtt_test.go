package mqtt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
)

// host listens on the same port each time.
type host struct{ addr string }

func (h *host) Listen(int) (net.Listener, error) {
	addr := h.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err == nil {
		h.addr = l.Addr().String()
	}
	return l, err
}

func (h *host) Announce(int, string) error { return nil }
func (h *host) Port(int) (int, error)      { return 0, errors.New("not asked for") }

func (h *host) Dial(context.Context, int) (net.Conn, error) {
	return nil, errors.New("not asked for")
}

func start(t *testing.T) (*Engine, *host) {
	t.Helper()
	h := &host{}
	made, err := New(engine.Config{Node: &topology.Node{Name: "mqtt"}, Host: h})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { made.Close() })
	if err := made.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return made.(*Engine), h
}

// client speaks packets.
type client struct {
	t *testing.T
	net.Conn
}

// connect opens a persistent session and says whether the broker had it.
func connect(t *testing.T, h *host, id string) (client, bool) {
	t.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	k := client{t, c}
	k.send(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Connect},
		Connect: packets.ConnectParams{
			ProtocolName: []byte("MQTT"), ClientIdentifier: id, Keepalive: 60,
		},
	})
	ack := k.read()
	if ack.FixedHeader.Type != packets.Connack || ack.ReasonCode != 0 {
		t.Fatalf("connect was answered %+v", ack)
	}
	return k, ack.SessionPresent
}

func (k client) send(pk packets.Packet) {
	k.t.Helper()
	pk.ProtocolVersion = 4
	encode := map[byte]func(*packets.Packet, *bytes.Buffer) error{
		packets.Connect:   (*packets.Packet).ConnectEncode,
		packets.Publish:   (*packets.Packet).PublishEncode,
		packets.Puback:    (*packets.Packet).PubackEncode,
		packets.Subscribe: (*packets.Packet).SubscribeEncode,
	}[pk.FixedHeader.Type]
	var b bytes.Buffer
	if err := encode(&pk, &b); err != nil {
		k.t.Fatal(err)
	}
	if _, err := k.Write(b.Bytes()); err != nil {
		k.t.Fatal(err)
	}
}

func (k client) read() packets.Packet {
	k.t.Helper()
	var head [2]byte // the packets of these tests are shorter than 128 bytes
	if _, err := io.ReadFull(k, head[:]); err != nil {
		k.t.Fatal(err)
	}
	pk := packets.Packet{ProtocolVersion: 4}
	if err := pk.FixedHeader.Decode(head[0]); err != nil {
		k.t.Fatal(err)
	}
	body := make([]byte, head[1])
	if _, err := io.ReadFull(k, body); err != nil {
		k.t.Fatal(err)
	}
	decode := map[byte]func(*packets.Packet, []byte) error{
		packets.Connack: (*packets.Packet).ConnackDecode,
		packets.Publish: (*packets.Packet).PublishDecode,
		packets.Puback:  (*packets.Packet).PubackDecode,
		packets.Suback:  (*packets.Packet).SubackDecode,
	}[pk.FixedHeader.Type]
	if err := decode(&pk, body); err != nil {
		k.t.Fatal(err)
	}
	return pk
}

func (k client) subscribe(id uint16, filter string) {
	k.t.Helper()
	k.send(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, PacketID: id,
		Filters: packets.Subscriptions{{Filter: filter, Qos: 1}},
	})
	if ack := k.read(); ack.FixedHeader.Type != packets.Suback || ack.ReasonCodes[0] != 1 {
		k.t.Fatalf("subscribe was answered %+v", ack)
	}
}

func (k client) publish(id uint16, topic, payload string, retain bool) {
	k.t.Helper()
	k.send(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1, Retain: retain},
		PacketID:    id, TopicName: topic, Payload: []byte(payload),
	})
	if ack := k.read(); ack.FixedHeader.Type != packets.Puback || ack.PacketID != id {
		k.t.Fatalf("publish was answered %+v", ack)
	}
}

// told is a delivery as the tests compare it.
type told struct {
	Payload  string
	Dup      bool
	Retained bool
}

func (k client) next() told {
	k.t.Helper()
	pk := k.read()
	if pk.FixedHeader.Type != packets.Publish {
		k.t.Fatalf("got %+v", pk)
	}
	return told{string(pk.Payload), pk.FixedHeader.Dup, pk.FixedHeader.Retain}
}

func TestSession(t *testing.T) {
	for name, end := range map[string]func(*Engine, context.Context) error{
		"session/stopped and started/backlog in order, sent ones marked": (*Engine).Stop,
		"session/killed and started/backlog in order, sent ones marked":  (*Engine).Kill,
	} {
		t.Run(name, func(t *testing.T) {
			e, h := start(t)
			reader, _ := connect(t, h, "reader")
			reader.subscribe(1, "a/+")
			writer, _ := connect(t, h, "writer")
			writer.publish(1, "a/1", "sent", false)
			if got := reader.next(); got.Dup {
				t.Errorf("first delivery is marked as another one")
			}
			restart(t, e, end)
			writer, _ = connect(t, h, "writer")
			for i := range 20 {
				writer.publish(1, "a/1", fmt.Sprint("later ", i), false)
			}
			reader, present := connect(t, h, "reader")
			if !present {
				t.Fatal("the session is gone")
			}
			want := []told{{Payload: "sent", Dup: true}}
			got := []told{reader.next()}
			for i := range 20 {
				want = append(want, told{Payload: fmt.Sprint("later ", i)})
				got = append(got, reader.next())
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func restart(t *testing.T, e *Engine, end func(*Engine, context.Context) error) {
	t.Helper()
	if err := end(e, t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestIdentifiers(t *testing.T) {
	t.Run("packet identifiers/both ways the same/nothing is forgotten", func(t *testing.T) {
		_, h := start(t)
		both, _ := connect(t, h, "both")
		both.subscribe(1, "in")
		writer, _ := connect(t, h, "writer")
		for i := range 3 {
			writer.publish(uint16(1+i), "in", fmt.Sprint(i), false)
			both.next()
		}
		for id := range uint16(100) {
			both.publish(id+1, "out", "x", false)
		}
		both.Close()
		both, _ = connect(t, h, "both")
		var got []told
		for range 3 {
			got = append(got, both.next())
		}
		want := []told{{Payload: "0", Dup: true}, {Payload: "1", Dup: true}, {Payload: "2", Dup: true}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRetained(t *testing.T) {
	e, h := start(t)
	writer, _ := connect(t, h, "writer")
	writer.publish(1, "state", "on", true)
	restart(t, e, (*Engine).Stop)
	reader, _ := connect(t, h, "reader")
	reader.subscribe(1, "state")
	want := told{Payload: "on", Retained: true}
	if diff := cmp.Diff(want, reader.next()); diff != "" {
		t.Error(diff)
	}
}

func TestWipe(t *testing.T) {
	e, h := start(t)
	reader, _ := connect(t, h, "reader")
	reader.subscribe(1, "a")
	if err := e.Wipe(t.Context()); err == nil {
		t.Error("a running engine was wiped")
	}
	if err := e.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Wipe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, present := connect(t, h, "reader"); present {
		t.Error("the session is still there")
	}
}

func TestFull(t *testing.T) {
	t.Run("session/full/not acknowledged rather than dropped", func(t *testing.T) {
		e, h := start(t)
		reader, _ := connect(t, h, "reader")
		reader.subscribe(1, "a")
		cl, ok := e.broker.Load().server.Clients.Get("reader")
		if !ok {
			t.Fatal("no session")
		}
		for id := range uint16(mostUnacknowledged) {
			cl.State.Inflight.Set(packets.Packet{PacketID: id + 1})
		}
		writer, _ := connect(t, h, "writer")
		writer.send(packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1},
			PacketID:    1, TopicName: "a", Payload: []byte("one too many"),
		})
		writer.publish(2, "nobody's", "x", false) // answers come in order, so 1 has none
		if e.Refused() != 1 || e.Dropped() != 0 {
			t.Errorf("%d refused, %d dropped", e.Refused(), e.Dropped())
		}
	})
}

func TestDisconnectAll(t *testing.T) {
	e, h := start(t)
	var all []client
	for i := range 5 {
		c, _ := connect(t, h, fmt.Sprint("c", i))
		all = append(all, c)
	}
	if n, err := e.DisconnectAll(t.Context()); err != nil || n != 5 {
		t.Errorf("%d disconnected, %v", n, err)
	}
	for _, c := range all {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a client is still connected")
		}
	}
	if _, present := connect(t, h, "c0"); !present {
		t.Error("the session is gone")
	}
}
