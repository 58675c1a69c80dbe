// Package awstest puts a moto server on a real fabric for the tests of the clients of Amazon's
// services.
//
// It is used by tests of the run step's clients only, and imports no client.
package awstest

import (
	"os"
	"testing"

	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/process"
)

// Start starts a server for the tests of a protocol; where none is installed it skips the test, or
// fails it where all must run.
func Start(t testing.TB, protocol string) *conntest.Site {
	t.Helper()
	err := process.Find(protocol)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	return conntest.Start(t, process.New, engine.Config{
		Node: &topology.Node{Name: "cloud", Kind: topology.Broker, Protocol: protocol},
	})
}
