package kinesis_test

import (
	"testing"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/aws/awstest"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/conn/kinesis"
	"github.com/faultline-sim/faultline/topology"
)

// start puts a server on a fabric.
func start(t testing.TB) *conntest.Site {
	t.Helper()
	return awstest.Start(t, "kinesis")
}

// connected is a client without channels.
func connected(t testing.TB, s *conntest.Site, name string) *kinesis.Client {
	t.Helper()
	c := kinesis.New(conn.Config{Dialer: s.Dialer(), Client: name})
	t.Cleanup(func() { c.Close() })
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// client is connected, and its channel declared.
func client(t testing.TB, s *conntest.Site, name string, parallel int) *kinesis.Client {
	t.Helper()
	c := connected(t, s, name)
	declare(t, c, "events", parallel)
	return c
}

func declare(t testing.TB, c conn.Broker, channel string, parallel int) {
	t.Helper()
	err := c.Declare(t.Context(), []*topology.Channel{
		{Ref: "stream/" + channel, Parallel: parallel, Groups: []string{"worker"}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func publish(t testing.TB, c conn.Broker, keys int, from, to int64) {
	t.Helper()
	conntest.Publish(t, c, "events", keys, from, to)
}

func depthIs(t testing.TB, c conn.Broker, group string, want int64) {
	t.Helper()
	conntest.DepthIs(t, c, "events", group, want)
}
