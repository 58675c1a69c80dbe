package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/topology"
)

func TestMissingPrograms(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	top, diags := topology.Parse("t.yaml", []byte(`topology: t
nodes:
  d: {kind: fleet, sends: {a: {to: m/in/:id}}}
  m: {kind: broker, protocol: mqtt}
  far.stream: {kind: broker, protocol: amqp}
  w: {kind: service, handlers: {a: {subscribe: stream/a}}}
  s: {kind: service, handlers: {in: {subscribe: m/in/:id, do: [{publish: stream/a}]}}}
flows:
  a: {path: "d -> m/in/:id -> s -> stream/a -> w"}
`), topology.Options{})
	if !diags.Empty() {
		t.Fatal(diags.String())
	}
	want := []string{"stream cannot be run on this machine yet: the program is not installed: " +
		"\"rabbitmq-server\" is not found on PATH; install the Debian package rabbitmq-server, or choose " +
		"--engines containers"}
	if diff := cmp.Diff(want, missingPrograms(top, "auto")); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	if got := missingPrograms(top, "containers"); got != nil {
		t.Errorf("in containers too: %v", got)
	}
}
