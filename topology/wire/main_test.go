package wire_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/faultline-sim/faultline/topology/wire"
)

// transport is what fabrics of this pass of the tests are made over, where a test does not say.
var transport wire.Transport

// TestMain runs all tests once over each transport: what they say is true of every one.
func TestMain(m *testing.M) {
	over := flag.String("transports", "tcp,memory,virtual", "transports to run all tests over")
	flag.Parse()
	code := 0
	for name := range strings.SplitSeq(*over, ",") {
		transport = wire.Transport(name)
		fmt.Println("transport", name)
		code = max(code, m.Run())
	}
	os.Exit(code)
}

// overSockets leaves a test out where there are no sockets: in virtual time nothing listens, and
// the HTTP API is not there.
func overSockets(t testing.TB) {
	t.Helper()
	if transport == wire.Virtual {
		t.Skip("in virtual time nothing listens on a socket")
	}
}
