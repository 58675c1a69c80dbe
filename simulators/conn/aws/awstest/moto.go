// Package awstest puts a moto server on a real fabric for the tests of the clients of Amazon's
// services.
//
// It is used by tests of the run step's clients only, and imports no client.
package awstest

import (
	"testing"

	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/process"
)

// Start starts a server for the tests of a protocol; see conntest.Missing where none is
// installed.
func Start(t testing.TB, protocol string) *conntest.Site {
	t.Helper()
	if err := process.Find(protocol); err != nil {
		conntest.Missing(t, err)
	}
	return conntest.Start(t, process.New, engine.Config{
		Node: &topology.Node{Name: "cloud", Kind: topology.Broker, Protocol: protocol},
	})
}
