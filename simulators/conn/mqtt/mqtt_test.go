package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/conn/mqtt"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	broker "github.com/faultline-sim/faultline/topology/engine/embedded/mqtt"
	"github.com/faultline-sim/faultline/topology/policy"
	"github.com/faultline-sim/faultline/topology/wire"
)

func start(t testing.TB, authenticate func(user, password string) error) *conntest.Site {
	t.Helper()
	return conntest.Start(t, broker.New, engine.Config{
		Node: &topology.Node{Name: "mqtt"}, Authenticate: authenticate,
	})
}

// quick is a session that reconnects fast enough for a test.
func quick(clean bool) topology.Session {
	return topology.Session{
		Clean:     clean,
		Reconnect: policy.Backoff{Initial: 5 * time.Millisecond, Factor: 2, Max: 20 * time.Millisecond},
	}
}

func client(t testing.TB, s *conntest.Site, cfg conn.Config) *mqtt.Client {
	t.Helper()
	cfg.Dialer = s.Dialer()
	c := mqtt.New(cfg)
	t.Cleanup(func() { c.Close() })
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func letter(flow string, number int64) *message.Message {
	return &message.Message{
		Flow: flow, Number: number, Source: "test", ParentNumber: -1, Data: []byte(`{"n":1}`),
	}
}

// collector gathers deliveries.
type collector struct {
	got chan conn.Delivery
}

func collect() *collector { return &collector{got: make(chan conn.Delivery, 10_000)} }

func (c *collector) handle(d conn.Delivery) { c.got <- d }

// next is the next delivery.
func (c *collector) next(t testing.TB) conn.Delivery {
	t.Helper()
	select {
	case d := <-c.got:
		return d
	case <-t.Context().Done():
	case <-time.After(20 * time.Second): // far beyond anything that works
	}
	t.Fatal("no delivery")
	return conn.Delivery{}
}

// numbers acknowledges the next n deliveries and returns their numbers.
func (c *collector) numbers(t testing.TB, n int) []int64 {
	t.Helper()
	var got []int64
	for range n {
		d := c.next(t)
		if d.Err != nil {
			t.Fatal(d.Err)
		}
		if err := d.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
		got = append(got, d.Message.Number)
	}
	return got
}

func count(from, to int64) (all []int64) {
	for n := from; n < to; n++ {
		all = append(all, n)
	}
	return all
}

func publish(t testing.TB, c conn.Broker, channel string, numbers ...int64) {
	t.Helper()
	for _, n := range numbers {
		if _, err := c.Publish(t.Context(), channel, letter("telemetry", n)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDelivery(t *testing.T) {
	s := start(t, nil)
	rule := client(t, s, conn.Config{Client: "rule", Session: quick(false)})
	device := client(t, s, conn.Config{Client: "device", Session: quick(false)})
	got := collect()
	err := rule.Subscribe(t.Context(), conn.Subscription{
		Channel: "telemetry/:id", Group: "event_rule", Handle: got.handle,
	})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, device, "telemetry/17", count(0, 200)...)
	if diff := cmp.Diff(count(0, 200), got.numbers(t, 200)); diff != "" {
		t.Error(diff)
	}
	t.Run("nack/given back/the same again", func(t *testing.T) {
		publish(t, device, "telemetry/17", 200)
		first := got.next(t)
		if err := first.Nack(t.Context()); err != nil {
			t.Fatal(err)
		}
		second := got.next(t)
		if second.Message.Number != 200 || !second.Redelivered || first.Redelivered {
			t.Errorf("got %d, redelivered %v then %v",
				second.Message.Number, first.Redelivered, second.Redelivered)
		}
		if err := second.Ack(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestRestart(t *testing.T) {
	for _, abrupt := range []bool{false, true} {
		t.Run(fmt.Sprintf("session/broker restarts, abrupt %v/in order and complete", abrupt),
			func(t *testing.T) { restart(t, abrupt) })
	}
}

func restart(t *testing.T, abrupt bool) {
	s := start(t, nil)
	rule := client(t, s, conn.Config{Client: "rule", Session: quick(false)})
	device := client(t, s, conn.Config{Client: "device", Session: quick(false)})
	got := collect()
	err := rule.Subscribe(t.Context(), conn.Subscription{Channel: "telemetry/:id", Handle: got.handle})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, device, "telemetry/1", count(0, 100)...)
	first := got.numbers(t, 50)
	end := s.Engine.Stop
	if abrupt {
		end = s.Engine.Kill
	}
	s.Restart(t, end)
	publish(t, device, "telemetry/1", count(100, 200)...)
	seen := map[int64]bool{}
	var fresh []int64
	for _, n := range first {
		seen[n] = true
		fresh = append(fresh, n)
	}
	for len(seen) < 200 {
		d := got.next(t)
		_ = d.Ack(t.Context()) // of before the restart: cannot arrive
		if !seen[d.Message.Number] {
			seen[d.Message.Number] = true
			fresh = append(fresh, d.Message.Number)
		}
	}
	if diff := cmp.Diff(count(0, 200), fresh); diff != "" {
		t.Error(diff)
	}
}

func TestCut(t *testing.T) {
	s := start(t, nil)
	states := make(chan string, 10)
	device := client(t, s, conn.Config{
		Client: "device", Session: quick(false), OnState: func(s string) { states <- s },
	})
	heal := s.Break(t, wire.Fault{Kind: wire.Cut})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := device.Publish(ctx, "telemetry/1", letter("telemetry", 0))
		failed <- err
	}()
	want := []string{"connect", "disconnect"}
	if diff := cmp.Diff(want, []string{<-states, <-states}); diff != "" {
		t.Error(diff)
	}
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("publish while cut: %v", err)
	}
	heal()
	publish(t, device, "telemetry/1", 1)
	if got := <-states; got != "connect" {
		t.Errorf("state %q after the cut", got)
	}
}

func TestBlackHole(t *testing.T) {
	s := start(t, nil)
	rule := client(t, s, conn.Config{Client: "rule", Session: quick(false)})
	device := client(t, s, conn.Config{Client: "device", Session: quick(false)})
	got := collect()
	sub := conn.Subscription{Channel: "telemetry/:id", Handle: got.handle}
	if err := rule.Subscribe(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	heal := s.Break(t, wire.Fault{Kind: wire.Timeout, Direction: wire.Both})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := device.Publish(ctx, "telemetry/1", letter("telemetry", 0))
	if !errors.Is(err, conn.ErrUnknown) {
		t.Errorf("into a black hole: %v", err)
	}
	heal()
	publish(t, device, "telemetry/1", 1, 2)
	if diff := cmp.Diff([]int64{0, 1, 2}, got.numbers(t, 3)); diff != "" {
		t.Error(diff)
	}
}

func TestGroup(t *testing.T) {
	s := start(t, nil)
	device := client(t, s, conn.Config{Client: "device", Session: quick(true)})
	var all []*collector
	for i := range 3 {
		got := collect()
		member := client(t, s, conn.Config{Client: fmt.Sprint("rule", i), Session: quick(false)})
		err := member.Subscribe(t.Context(), conn.Subscription{
			Channel: "telemetry/:id", Group: "event_rule", Handle: got.handle,
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, got)
	}
	for topic := range 30 {
		publish(t, device, fmt.Sprint("telemetry/", topic), count(0, 4)...)
	}
	byTopic, busy := map[string][]int64{}, 0
	for _, got := range all {
		if len(got.got) > 0 {
			busy++
		}
	}
	for range 120 {
		var d conn.Delivery
		select {
		case d = <-all[0].got:
		case d = <-all[1].got:
		case d = <-all[2].got:
		}
		d.Ack(t.Context())
		byTopic[d.Channel] = append(byTopic[d.Channel], d.Message.Number)
	}
	want := map[string][]int64{}
	for topic := range 30 {
		want[fmt.Sprint("telemetry/", topic)] = count(0, 4)
	}
	if diff := cmp.Diff(want, byTopic); diff != "" || busy < 2 {
		t.Errorf("%d members were given messages: %s", busy, diff)
	}
}

func TestBusy(t *testing.T) {
	t.Run("both ways/broker restarts repeatedly/nothing acknowledged is lost", func(t *testing.T) {
		s := start(t, nil)
		got := collect()
		rule := client(t, s, conn.Config{Client: "rule", Session: quick(false)})
		sub := conn.Subscription{Channel: "telemetry/:id", Handle: got.handle}
		if err := rule.Subscribe(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
		const devices, each = 10, 100
		var busy sync.WaitGroup
		for i := range devices {
			device := client(t, s, conn.Config{Client: fmt.Sprint("device", i), Session: quick(false)})
			busy.Go(func() { publish(t, device, fmt.Sprint("telemetry/", i), count(0, each)...) })
			busy.Go(func() { publish(t, rule, fmt.Sprint("command/", i), count(0, each)...) })
		}
		done := make(chan struct{})
		go func() { busy.Wait(); close(done) }()
		order, seen := map[string][]int64{}, 0
		for restarts := 0; seen < devices*each; {
			d := got.next(t)
			_ = d.Ack(t.Context()) // may be of an earlier connection
			if !slices.Contains(order[d.Channel], d.Message.Number) {
				order[d.Channel] = append(order[d.Channel], d.Message.Number)
				seen++
			}
			if seen > (restarts+1)*devices*each/5 && restarts < 4 {
				restarts++
				s.Restart(t, s.Engine.Kill)
			}
		}
		<-done
		want := map[string][]int64{}
		for i := range devices {
			want[fmt.Sprint("telemetry/", i)] = count(0, each)
		}
		if diff := cmp.Diff(want, order); diff != "" {
			t.Error(diff)
		}
	})
}

func TestOffline(t *testing.T) {
	t.Run("persistent session/subscriber away/gets all in order, first time", func(t *testing.T) {
		s := start(t, nil)
		device := client(t, s, conn.Config{Client: "device", Session: quick(true)})
		rule := client(t, s, conn.Config{Client: "rule", Session: quick(false)})
		got := collect()
		sub := conn.Subscription{Channel: "telemetry/:id", Handle: got.handle}
		if err := rule.Subscribe(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
		if err := rule.Close(); err != nil {
			t.Fatal(err)
		}
		publish(t, device, "telemetry/1", count(0, 3000)...)
		again := client(t, s, conn.Config{Client: "rule", Session: quick(false)})
		if err := again.Subscribe(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
		var numbers []int64
		for range 3000 {
			d := got.next(t)
			// The broker may have sent the first ones before it read the goodbye.
			if d.Redelivered && len(numbers) > 1000 {
				t.Fatalf("%s counts as delivered before", d.Message.ID())
			}
			numbers = append(numbers, d.Message.Number)
			d.Ack(t.Context())
		}
		if diff := cmp.Diff(count(0, 3000), numbers); diff != "" {
			t.Error(diff)
		}
	})
}

func TestLogin(t *testing.T) {
	s := start(t, func(user, password string) error {
		if user != "device" || password != "token 2" {
			return errors.New("who is that")
		}
		return nil
	})
	tries := 0
	c := mqtt.New(conn.Config{
		Dialer: s.Dialer(), Client: "device", User: "device", Session: quick(true),
		Password: func() string { tries++; return fmt.Sprintf("token %d", tries) },
	})
	defer c.Close()
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if tries != 2 {
		t.Errorf("%d tries", tries)
	}
}

func TestClose(t *testing.T) {
	s := start(t, nil)
	before := runtime.NumGoroutine()
	for i := range 20 {
		c := mqtt.New(conn.Config{
			Dialer: s.Dialer(), Client: fmt.Sprint("c", i), Session: quick(i%2 == 0),
		})
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		sub := conn.Subscription{Channel: "command/1", Handle: func(d conn.Delivery) {}}
		if err := c.Subscribe(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
		publish(t, c, "telemetry/1", 1)
		if i%3 == 0 {
			c.Crash()
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Connect(t.Context()); err == nil {
			t.Error("a closed client connected")
		}
	}
	if err := s.Engine.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	conntest.NoneLeft(t, before)
}
