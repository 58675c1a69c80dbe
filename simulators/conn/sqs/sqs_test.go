package sqs_test

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
	"github.com/faultline-sim/faultline/simulators/conn/sqs"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
)

func TestDelivery(t *testing.T) {
	s := awstest.Start(t, "sqs")
	for _, ch := range []*topology.Channel{keyed("keyed"), plain("plain")} {
		t.Run(ch.Ref, func(t *testing.T) {
			name := topology.ChannelName(ch.Ref)
			c := client(t, s, "worker")
			declare(t, c, ch)
			conntest.Publish(t, c, name, 10, 0, 20) // before anyone subscribes
			got := conntest.NewTally(nil)
			subscribe(t, c, name, got.Handle)
			conntest.Publish(t, c, name, 10, 20, 50)
			got.Wait(t, 500)
			if ch.Key != "" {
				got.Check(t, 10, 50)
			}
			if n := len(got.Deliveries(t, 500)); n != 500 {
				t.Errorf("%d deliveries of 500 messages", n)
			}
			conntest.DepthIs(t, c, name, "worker", 0)
		})
	}
}

func TestDeclare(t *testing.T) {
	s := awstest.Start(t, "sqs")
	c := client(t, s, "worker")
	t.Run("declare/several at once/one queue", func(t *testing.T) {
		var all sync.WaitGroup
		for i := range 4 {
			other := client(t, s, fmt.Sprint("worker", i))
			all.Go(func() {
				if err := other.Declare(t.Context(), []*topology.Channel{
					dying(keyed("a/b.c%20 채널"), 3), keyed("a/b.c%20 채널.dead"),
				}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		conntest.Publish(t, c, "a/b.c%20 채널", 1, 0, 1)
	})
	t.Run("declare/exists already/left as it is", func(t *testing.T) {
		declare(t, c, plain("kept"))
		conntest.Publish(t, c, "kept", 1, 0, 3)
		declare(t, c, dying(plain("kept"), 3))
		conntest.DepthIs(t, c, "kept", "worker", 3)
	})
	t.Run("declare/two groups/unsupported, and told what to use", func(t *testing.T) {
		ch := plain("shared")
		ch.Groups = append(ch.Groups, "other")
		err := c.Declare(t.Context(), []*topology.Channel{ch})
		if !errors.Is(err, conn.ErrUnsupported) || !strings.Contains(err.Error(), "sns") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("subscribe/another's queue/unsupported", func(t *testing.T) {
		declare(t, c, plain("owned"))
		err := c.Subscribe(t.Context(), conn.Subscription{Channel: "owned", Group: "other"})
		if !errors.Is(err, conn.ErrUnsupported) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("queue/never declared/refused", func(t *testing.T) {
		_, err := c.Publish(t.Context(), "nowhere", conntest.Letter("a", 0))
		if !errors.Is(err, conn.ErrRefused) || !strings.Contains(err.Error(), "client -> cloud") {
			t.Errorf("publish: %v", err)
		}
		err = c.Subscribe(t.Context(), conn.Subscription{Channel: "nowhere", Group: "worker"})
		if !errors.Is(err, conn.ErrRefused) {
			t.Errorf("subscribe: %v", err)
		}
	})
	t.Run("publish/too large/refused", func(t *testing.T) {
		declare(t, c, plain("large"))
		for _, size := range []int{1 << 20, 300 << 20} {
			m := conntest.Letter("a", 0).With(func(m *message.Message) { m.Data = make([]byte, size) })
			_, err := c.Publish(t.Context(), "large", m)
			if !errors.Is(err, conn.ErrRefused) || !strings.Contains(err.Error(), `"large"`) {
				t.Errorf("publish: %v", err)
			}
		}
	})
}

func TestEnvelope(t *testing.T) {
	s := awstest.Start(t, "sqs")
	c := client(t, s, "worker")
	declare(t, c, keyed("keyed"))
	got := conntest.NewTally(nil)
	subscribe(t, c, "keyed", got.Handle)
	base := message.Message{
		Flow: "온도-a", Source: "device.hw/도깨비", Subject: "100% \x01 \"김\"", Key: "장치/17 %2F",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Trace: [16]byte{1}, Span: [8]byte{2},
		Attempt: 2, ParentFlow: "telemetry", ParentNumber: 7,
		Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		Headers: map[string]string{"reason": "schema: 온도 \n", "빈": "값 = & %"},
	}
	for i, body := range [][]byte{
		nil, {0, 0xff, '\'', '\n', 0xc3, 0x28}, []byte(`{"이름":"도깨비 👹\u0000"}`), []byte(" "),
		[]byte("\x01text"), []byte(strings.Repeat("x", 1_000_000)),
	} {
		want := base.With(func(m *message.Message) {
			m.Number, m.KeySeq, m.Data = int64(i), int64(i), body
		})
		if _, err := c.Publish(t.Context(), "keyed", want); err != nil {
			t.Fatal(err)
		}
		d := got.Deliveries(t, i+1)[i]
		if diff := cmp.Diff(want, d.Message); diff != "" {
			t.Error(diff)
		}
	}
}

func TestSettle(t *testing.T) {
	s := awstest.Start(t, "sqs")
	t.Run("nack/fifo/the key waits, others go on, none seen twice out of order", func(t *testing.T) {
		c := client(t, s, "worker")
		declare(t, c, keyed("order"))
		conntest.Publish(t, c, "order", 3, 0, 8)
		refused := map[string]int{}
		got := conntest.NewTally(func(d conn.Delivery) {
			if d.Message.KeySeq%3 == 1 && refused[d.Message.ID()] < 2 {
				refused[d.Message.ID()]++
				_ = d.Nack(context.Background())
				return
			}
			_ = d.Ack(context.Background())
		})
		subscribe(t, c, "order", got.Handle)
		got.Wait(t, 24)
		got.Check(t, 3, 8)
		conntest.DepthIs(t, c, "order", "worker", 0)
	})
	t.Run("close/some unsettled/back at once", func(t *testing.T) {
		worker := client(t, s, "worker")
		declare(t, worker, keyed("left"))
		conntest.Publish(t, worker, "left", 10, 0, 2)
		held := conntest.NewTally(func(conn.Delivery) {})
		subscribe(t, worker, "left", held.Handle)
		d := held.Deliveries(t, 10)[0] // one of each key
		if err := worker.Close(); err != nil {
			t.Fatal(err)
		}
		if err := d.Ack(t.Context()); err == nil {
			t.Error("acknowledged after the end")
		}
		other := client(t, s, "other")
		got := conntest.NewTally(nil)
		subscribe(t, other, "left", got.Handle)
		got.Wait(t, 20)
		got.Check(t, 10, 2)
	})
	t.Run("hold/longer than the visibility/nobody else's", func(t *testing.T) {
		c, other := client(t, s, "worker"), client(t, s, "other")
		declare(t, c, plain("held"))
		held := conntest.NewTally(func(conn.Delivery) {})
		subscribe(t, c, "held", held.Handle)
		conntest.Publish(t, c, "held", 30, 0, 1)
		all := held.Deliveries(t, 30)
		stolen := conntest.NewTally(nil)
		subscribe(t, other, "held", stolen.Handle)
		<-time.After(3 * time.Second) // the time itself is the test's subject
		for _, d := range all {
			if err := d.Ack(t.Context()); err != nil {
				t.Error(err)
			}
		}
		conntest.DepthIs(t, c, "held", "worker", 0)
		if n := len(stolen.Deliveries(t, 0)) + len(held.Deliveries(t, 0)); n != 30 {
			t.Errorf("%d deliveries of 30", n)
		}
	})
}

func TestDeadLetter(t *testing.T) {
	s := awstest.Start(t, "sqs")
	for _, ch := range []*topology.Channel{dying(keyed("keyed"), 3), dying(plain("plain"), 3)} {
		t.Run(ch.Ref, func(t *testing.T) {
			name := topology.ChannelName(ch.Ref)
			c := client(t, s, "worker")
			declare(t, c, &topology.Channel{Ref: ch.Ref + ".dead"}) // by an auditor, who came first
			declare(t, client(t, s, "other"), ch, &topology.Channel{Ref: ch.Ref + ".dead"})
			got := conntest.NewTally(func(d conn.Delivery) {
				if d.Message.KeySeq < 2 {
					_ = d.Nack(context.Background())
					return
				}
				_ = d.Ack(context.Background())
			})
			subscribe(t, c, name, got.Handle)
			conntest.Publish(t, c, name, 1, 0, 10)
			got.Wait(t, 10)
			conntest.DepthIs(t, c, name, "worker", 0)
			if n := len(got.Deliveries(t, 0)); n != 14 {
				t.Errorf("%d deliveries, want 3 of each of two messages and 1 of each of eight", n)
			}
			for range 2 {
				if diff := cmp.Diff(ids("device0", 2), conntest.Audited(t, c, name+".dead")); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestAudit(t *testing.T) {
	s := awstest.Start(t, "sqs")
	for _, ch := range []*topology.Channel{keyed("keyed"), plain("plain")} {
		t.Run(ch.Ref+"/more of a key than are given at once/each once", func(t *testing.T) {
			name := topology.ChannelName(ch.Ref)
			c := client(t, s, "worker")
			declare(t, c, ch)
			if found := conntest.Audited(t, c, name); len(found) > 0 {
				t.Errorf("found %v", found)
			}
			conntest.Publish(t, c, name, 2, 0, 34)
			want := ids("device0", 34)
			for id := range ids("device1", 34) {
				want[id] = 1
			}
			for range 2 {
				if diff := cmp.Diff(want, conntest.Audited(t, client(t, s, "auditor"), name)); diff != "" {
					t.Error(diff)
				}
			}
			got := conntest.NewTally(nil)
			subscribe(t, c, name, got.Handle)
			got.Wait(t, 68)
			if ch.Key != "" {
				got.Check(t, 2, 34)
			}
		})
	}
}

func TestCrash(t *testing.T) {
	s := awstest.Start(t, "sqs")
	c, worker := client(t, s, "producer"), client(t, s, "worker")
	declare(t, c, keyed("keyed"))
	conntest.Publish(t, c, "keyed", 20, 0, 2)
	held := conntest.NewTally(func(conn.Delivery) {})
	subscribe(t, worker, "keyed", held.Handle)
	held.Deliveries(t, 20)
	got := conntest.NewTally(nil)
	subscribe(t, client(t, s, "other"), "keyed", got.Handle)
	worker.Crash()
	begun := time.Now()
	got.Wait(t, 40)
	got.Check(t, 20, 2)
	t.Logf("taken over within %v", time.Since(begun).Round(time.Millisecond))
}

func TestGroup(t *testing.T) {
	s := awstest.Start(t, "sqs")
	producer := client(t, s, "producer")
	declare(t, producer, keyed("keyed"))
	got := conntest.NewTally(nil)
	first := client(t, s, "worker0")
	subscribe(t, first, "keyed", got.Handle)
	conntest.Publish(t, producer, "keyed", 10, 0, 10)
	for _, name := range []string{"worker1", "worker2"} {
		subscribe(t, client(t, s, name), "keyed", got.Handle)
	}
	conntest.Publish(t, producer, "keyed", 10, 10, 30)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	conntest.Publish(t, producer, "keyed", 10, 30, 40)
	got.Wait(t, 400)
	got.Check(t, 10, 40)
}

func TestDisturbances(t *testing.T) {
	s := awstest.Start(t, "sqs")
	for _, kind := range []wire.Kind{wire.Cut, wire.Timeout, wire.Reset} {
		t.Run("delivery/"+string(kind)+"/complete, in order, soon after the heal", func(t *testing.T) {
			producer, worker := client(t, s, "producer"), client(t, s, "worker")
			name := "over-" + string(kind)
			declare(t, producer, keyed(name))
			got := conntest.NewTally(nil)
			subscribe(t, worker, name, got.Handle)
			conntest.Publish(t, producer, name, 10, 0, 10)
			heal := s.Break(t, wire.Fault{Kind: kind, Direction: wire.Both})
			published := make(chan struct{})
			go func() {
				defer close(published)
				conntest.Publish(t, producer, name, 10, 10, 20)
			}()
			<-time.After(2 * time.Second) // how long the outage is
			heal()
			healed, before := time.Now(), len(got.Deliveries(t, 0))
			got.Deliveries(t, before+1)
			t.Logf("resumed %v after the heal", time.Since(healed).Round(time.Millisecond))
			<-published
			got.Wait(t, 200)
			got.Check(t, 10, 20)
		})
	}
}

func TestNothingIsLeft(t *testing.T) {
	s := awstest.Start(t, "sqs")
	declare(t, client(t, s, "declarer"), keyed("keyed"))
	for _, kind := range []wire.Kind{"", wire.Cut, wire.Timeout} {
		t.Run("close/"+string(kind)+"/no goroutine", func(t *testing.T) {
			before := runtime.NumGoroutine()
			c := sqs.New(conn.Config{Dialer: s.Dialer(), Client: "worker"})
			got := conntest.NewTally(nil)
			subscribe(t, c, "keyed", got.Handle)
			conntest.Publish(t, c, "keyed", 3, 0, 1)
			got.Wait(t, 3)
			heal := func() {}
			if kind != "" {
				heal = s.Break(t, wire.Fault{Kind: kind, Direction: wire.Both})
			}
			begun := time.Now()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			took := time.Since(begun)
			heal()
			conntest.NoneLeft(t, before)
			if took > 5*time.Second {
				t.Errorf("closing took %v", took)
			}
		})
	}
}
