package sns_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/aws/awstest"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/conn/sns"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
	"github.com/faultline-sim/faultline/topology/wire"
)

func client(t testing.TB, s *conntest.Site, name string, filters sns.Filters) *sns.Client {
	t.Helper()
	c := sns.New(conn.Config{Dialer: s.Dialer(), Client: name}, filters)
	t.Cleanup(func() { c.Close() })
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func declare(t testing.TB, c conn.Broker, channels ...*topology.Channel) {
	t.Helper()
	if err := c.Declare(t.Context(), channels); err != nil {
		t.Fatal(err)
	}
}

// channel has order where key is set.
func channel(name, key string, groups ...string) *topology.Channel {
	return &topology.Channel{Ref: "cloud/" + name, Key: key, Groups: groups}
}

// subscribe takes part in a group; settle nil acknowledges.
func subscribe(
	t testing.TB, c conn.Broker, channel, group string, settle func(conn.Delivery),
) *conntest.Tally {
	t.Helper()
	in := conntest.NewTally(settle)
	err := c.Subscribe(t.Context(), conn.Subscription{
		Channel: channel, Group: group, Handle: in.Handle,
	})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// byKey are the sequence numbers of each key in the order of arrival.
func byKey(all []conn.Delivery) map[string][]int64 {
	keys := map[string][]int64{}
	for _, d := range all {
		keys[d.Message.Key] = append(keys[d.Message.Key], d.Message.KeySeq)
	}
	return keys
}

func TestFanOut(t *testing.T) {
	s := awstest.Start(t, "sns")
	t.Run("fan-out/keyed/each group has all, in order", func(t *testing.T) {
		c := client(t, s, "producer", nil)
		declare(t, c, channel("keyed/a.b", "device", "mail", "points/도"))
		conntest.Publish(t, c, "keyed/a.b", 5, 0, 20) // before anyone subscribes
		for _, group := range []string{"mail", "points/도"} {
			conntest.DepthIs(t, c, "keyed/a.b", group, 100)
			in := subscribe(t, client(t, s, group, nil), "keyed/a.b", group, nil)
			if diff := cmp.Diff(conntest.Sequence(5, 20), byKey(in.Deliveries(t, 100))); diff != "" {
				t.Errorf("%s: %s", group, diff)
			}
			conntest.DepthIs(t, c, "keyed/a.b", group, 0)
		}
	})
	t.Run("fan-out/plain/each group has all, members share", func(t *testing.T) {
		c := client(t, s, "producer", nil)
		declare(t, c, channel("plain", "", "mail", "points"))
		mail := subscribe(t, c, "plain", "mail", nil)
		first := subscribe(t, client(t, s, "points0", nil), "plain", "points", nil)
		second := subscribe(t, client(t, s, "points1", nil), "plain", "points", nil)
		conntest.Publish(t, c, "plain", 10, 0, 20)
		mail.Deliveries(t, 200)
		conntest.DepthIs(t, c, "plain", "points", 0)
		if n := len(first.Deliveries(t, 0)) + len(second.Deliveries(t, 0)); n != 200 {
			t.Errorf("group points was given %d of 200", n)
		}
	})
	t.Run("subscribe/never declared group/gets what follows", func(t *testing.T) {
		c := client(t, s, "producer", nil)
		declare(t, c, channel("open", "device", "mail"))
		in := subscribe(t, client(t, s, "late", nil), "open", "late", nil)
		conntest.Publish(t, c, "open", 1, 0, 2)
		in.Deliveries(t, 2)
		conntest.DepthIs(t, c, "open", "mail", 2)
	})
}

func TestFilter(t *testing.T) {
	s := awstest.Start(t, "sns")
	c := client(t, s, "producer", sns.Filters{"events": {
		"eu":  {Policy: `{"ce_subject": [{"prefix": "eu-"}]}`},
		"hot": {Policy: `{"temp": [{"numeric": [">", 30]}]}`, Body: true},
	}})
	declare(t, c, channel("events", "device", "all", "eu", "hot"))
	for i, subject := range []string{"eu-1", "us-1", "eu-2", "us-2"} {
		m := conntest.Letter("device", int64(i)).With(func(m *message.Message) {
			m.Subject = subject
			m.Data = fmt.Appendf(nil, `{"temp": %d}`, 20+10*i)
		})
		if _, err := c.Publish(t.Context(), "events", m); err != nil {
			t.Fatal(err)
		}
	}
	for group, want := range map[string][]int64{
		"all": {0, 1, 2, 3}, "eu": {0, 2}, "hot": {2, 3},
	} {
		in := subscribe(t, c, "events", group, nil)
		in.Deliveries(t, len(want))
		conntest.DepthIs(t, c, "events", group, 0)
		if diff := cmp.Diff(want, byKey(in.Deliveries(t, 0))["device"]); diff != "" {
			t.Errorf("group %s: %s", group, diff)
		}
	}
}

func TestEnvelope(t *testing.T) {
	s := awstest.Start(t, "sns")
	c := client(t, s, "worker", nil)
	declare(t, c, channel("keyed", "device", "worker"))
	in := subscribe(t, c, "keyed", "worker", nil)
	base := message.Message{
		Flow: "온도-a", Source: "device.hw/도깨비", Subject: "100% \x01 \"김\" &=+", Key: "장치/17 %2F",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Trace: [16]byte{1}, Span: [8]byte{2},
		Attempt: 2, ParentFlow: "telemetry", ParentNumber: 7,
		Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		Headers: map[string]string{"reason": "schema: 온도 \n", "빈": "값 = & %"},
	}
	for i, body := range [][]byte{
		nil, {0, 0xff, '\'', '\n', 0xc3, 0x28}, []byte(`{"이름":"도깨비 👹\u0000", "a": "+&=%"}`),
		[]byte(" "), []byte("a\r\nb\tc"), []byte(strings.Repeat("x", 250_000)),
	} {
		want := base.With(func(m *message.Message) {
			m.Number, m.KeySeq, m.Data = int64(i), int64(i), body
		})
		if _, err := c.Publish(t.Context(), "keyed", want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, in.Deliveries(t, i+1)[i].Message); diff != "" {
			t.Error(diff)
		}
	}
	t.Run("publish/too large/refused", func(t *testing.T) {
		m := base.With(func(m *message.Message) { m.Data = make([]byte, 256<<10) })
		_, err := c.Publish(t.Context(), "keyed", m)
		if !errors.Is(err, conn.ErrRefused) || !strings.Contains(err.Error(), `"keyed"`) {
			t.Errorf("error %v", err)
		}
	})
}

func TestDeclare(t *testing.T) {
	s := awstest.Start(t, "sns")
	c := client(t, s, "worker", nil)
	t.Run("declare/several at once/one topic, one copy", func(t *testing.T) {
		ch := channel("shared", "device", "mail")
		var all sync.WaitGroup
		for i := range 4 {
			other := client(t, s, fmt.Sprint("worker", i), nil)
			all.Go(func() {
				if err := other.Declare(t.Context(), []*topology.Channel{ch, ch}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		conntest.Publish(t, c, "shared", 1, 0, 3)
		conntest.DepthIs(t, c, "shared", "mail", 3)
	})
	t.Run("topic/never declared/refused", func(t *testing.T) {
		_, err := c.Publish(t.Context(), "nowhere", conntest.Letter("a", 0))
		if !errors.Is(err, conn.ErrRefused) || !strings.Contains(err.Error(), "client -> cloud") {
			t.Errorf("publish: %v", err)
		}
		err = c.Subscribe(t.Context(), conn.Subscription{Channel: "nowhere", Group: "worker"})
		if !errors.Is(err, conn.ErrRefused) {
			t.Errorf("subscribe: %v", err)
		}
	})
	t.Run("audit/no groups/each once", func(t *testing.T) {
		for _, ch := range []*topology.Channel{channel("own", ""), channel("own-keyed", "device")} {
			name := topology.ChannelName(ch.Ref)
			declare(t, c, ch)
			conntest.Publish(t, c, name, 3, 0, 15)
			for range 2 {
				if found := conntest.Audited(t, client(t, s, "auditor", nil), name); len(found) != 45 {
					t.Errorf("%s: found %d: %v", name, len(found), found)
				}
			}
		}
	})
	t.Run("audit/only groups/unsupported", func(t *testing.T) {
		declare(t, c, channel("grouped", "", "mail"))
		err := c.Audit(t.Context(), "grouped", func(*message.Message) error { return nil })
		if !errors.Is(err, conn.ErrUnsupported) {
			t.Errorf("error %v", err)
		}
	})
}

func TestDeadLetter(t *testing.T) {
	s := awstest.Start(t, "sns")
	for _, key := range []string{"", "device"} {
		t.Run("dead letter/key "+key+"/after three deliveries of one group", func(t *testing.T) {
			ch := channel("events"+key, key, "mail", "points")
			ch.DeadLetter = &policy.DeadLetter{Attempts: 3, Channel: ch.Ref + ".dead", Native: true}
			name := topology.ChannelName(ch.Ref)
			c := client(t, s, "worker", nil)
			declare(t, c, &topology.Channel{Ref: ch.Ref + ".dead"})
			declare(t, client(t, s, "other", nil), ch, &topology.Channel{Ref: ch.Ref + ".dead"})
			mail := subscribe(t, c, name, "mail", nil)
			points := subscribe(t, c, name, "points", func(d conn.Delivery) {
				if d.Message.KeySeq == 0 {
					_ = d.Nack(context.Background())
					return
				}
				_ = d.Ack(context.Background())
			})
			conntest.Publish(t, c, name, 1, 0, 5)
			mail.Deliveries(t, 5)
			points.Deliveries(t, 7)
			conntest.DepthIs(t, c, name, "points", 0)
			want := map[string]int{conntest.Letter("device0", 0).ID(): 1}
			if diff := cmp.Diff(want, conntest.Audited(t, c, name+".dead")); diff != "" {
				t.Error(diff)
			}
			if n := len(points.Deliveries(t, 0)); n != 7 {
				t.Errorf("%d deliveries, want 3 of one message and 1 of each of four", n)
			}
		})
	}
}

func TestDisturbances(t *testing.T) {
	s := awstest.Start(t, "sns")
	states := make(chan string, 100)
	producer := client(t, s, "producer", nil)
	declare(t, producer, channel("events", "device", "worker"))
	worker := sns.New(conn.Config{
		Dialer: s.Dialer(), Client: "worker", OnState: func(s string) { states <- s },
	}, nil)
	defer worker.Close()
	if err := worker.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	in := subscribe(t, worker, "events", "worker", nil)
	conntest.Publish(t, producer, "events", 1, 0, 1)
	in.Deliveries(t, 1)
	heal := s.Break(t, wire.Fault{Kind: wire.Cut})
	<-time.After(2 * time.Second) // how long the outage is
	if _, err := producer.Publish(t.Context(), "events", conntest.Letter("device0", 1)); err == nil {
		t.Error("published over a wire that is cut")
	}
	heal()
	m := conntest.Letter("device0", 2)
	for {
		if _, err := producer.Publish(t.Context(), "events", m); err == nil {
			break
		}
	}
	in.Deliveries(t, 2)
	got := []string{<-states, <-states, <-states}
	if diff := cmp.Diff([]string{"connect", "disconnect", "connect"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestNothingIsLeft(t *testing.T) {
	s := awstest.Start(t, "sns")
	declare(t, client(t, s, "declarer", nil), channel("events", "device", "worker"))
	for _, kind := range []wire.Kind{"", wire.Cut, wire.Timeout} {
		t.Run("close/"+string(kind)+"/no goroutine", func(t *testing.T) {
			before := runtime.NumGoroutine()
			c := sns.New(conn.Config{Dialer: s.Dialer(), Client: "worker"}, nil)
			in := subscribe(t, c, "events", "worker", nil)
			conntest.Publish(t, c, "events", 3, 0, 1)
			in.Deliveries(t, 3)
			heal := func() {}
			if kind != "" {
				heal = s.Break(t, wire.Fault{Kind: kind, Direction: wire.Both})
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			heal()
			conntest.NoneLeft(t, before)
		})
	}
}
