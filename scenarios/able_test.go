package scenarios

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// withContainers reads a timeline on the small system, run on containers.
func withContainers(t *testing.T, timeline string, m Machine) (*Scenario, string) {
	t.Helper()
	file := written(t, "load: {orders: 10/s}\ntimeline:\n"+timeline)
	s, diags, err := Load(file, Options{Engines: "containers", Machine: m})
	if err != nil {
		t.Fatal(err)
	}
	all := diags.Sorted()
	if len(all) == 0 {
		return s, ""
	}
	return s, all[0].Text
}

func TestACutInsideAContainerNeedsTheMachine(t *testing.T) {
	const cut = "  - {at: 0s, for: 1s, node: archive, fault: cut}\n"
	const refused = `cut cannot be done to "archive" on this machine: packets are dropped inside ` +
		`the container's own network, which takes root on Linux; cut its wires instead: ` +
		`wire: "* -> archive"`
	tests := []struct {
		name    string
		machine Machine
		want    string
	}{
		{"cut/root on Linux/accepted", Machine{OS: "linux", Root: true}, ""},
		{"cut/a user on Linux/refused", Machine{OS: "linux"}, refused},
		{"cut/another system/refused", Machine{OS: "darwin", Root: true}, refused},
		{"cut/a saved run on any machine/accepted", Machine{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, got := withContainers(t, cut, tt.machine); got != tt.want {
				t.Errorf("mistake %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAllFaultsOfContainersLoad(t *testing.T) {
	s, wrong := withContainers(t, `  - {at: 0s, for: 1s, node: queue, fault: pause}
  - {at: 0s, for: 1s, node: queue, fault: cpu, cores: 0.2}
  - {at: 0s, for: 1s, node: queue, fault: memory, size: 512MiB}
  - {at: 2s, for: 1s, node: queue, fault: cut}
  - {at: 6s, node: queue, fault: disconnect_all}
  - {at: 0s, for: 1s, node: queue, fault: disk_full}
  - {at: 2s, for: 1s, node: queue, fault: disk_full, size: 300MB}
  - {at: 4s, for: 1s, node: archive, fault: pause}
`, Machine{})
	if wrong != "" {
		t.Fatal(wrong)
	}
	if diff := cmp.Diff(map[string]int64{"queue": 300_000_000}, s.Disks()); diff != "" {
		t.Errorf("disks (-want +got):\n%s", diff)
	}
	var words []string
	for _, a := range s.Timeline {
		words = append(words, a.Fault.String())
	}
	want := []string{"pause on queue", "cpu 0.2 cores on queue", "memory 512MiB on queue",
		"cut on queue", "disconnect_all on queue", "disk_full 256MB on queue",
		"disk_full 300MB on queue", "pause on archive"}
	if diff := cmp.Diff(want, words); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if least := deadlineMargin + containersMargin; s.Deadline < least {
		t.Errorf("deadline %s leaves no time to pull images, want at least %s", s.Deadline, least)
	}
}
