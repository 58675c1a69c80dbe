package sqs_test

import (
	"testing"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/conn/sqs"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
)

// client is connected.
func client(t testing.TB, s *conntest.Site, name string) *sqs.Client {
	t.Helper()
	c := sqs.New(conn.Config{Dialer: s.Dialer(), Client: name})
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

// keyed is a channel with order.
func keyed(name string) *topology.Channel {
	return &topology.Channel{Ref: "cloud/" + name, Key: "device", Groups: []string{"worker"}}
}

func plain(name string) *topology.Channel {
	return &topology.Channel{Ref: "cloud/" + name, Groups: []string{"worker"}}
}

// dying is a channel whose messages go to another by the service after so many deliveries.
func dying(ch *topology.Channel, attempts int) *topology.Channel {
	ch.DeadLetter = &policy.DeadLetter{Attempts: attempts, Channel: ch.Ref + ".dead", Native: true}
	return ch
}

func subscribe(t testing.TB, c conn.Broker, channel string, handle func(conn.Delivery)) {
	t.Helper()
	err := c.Subscribe(t.Context(), conn.Subscription{
		Channel: channel, Group: "worker", Handle: handle,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func ids(key string, n int64) map[string]int {
	all := map[string]int{}
	for seq := range n {
		all[conntest.Letter(key, seq).ID()] = 1
	}
	return all
}
