//go:build containers

package process_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/client"

	"github.com/faultline-sim/faultline/scenarios/scenariotest"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/process"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine/container"
	"github.com/faultline-sim/faultline/topology/wire"
)

// newContained is a stage whose worker is the image of a folder; more are fields of the node.
func newContained(t *testing.T, more string) *stage {
	t.Helper()
	run := "test-" + strings.ReplaceAll(t.Name(), "/", "-")
	t.Cleanup(func() { // after the stage's own
		if left := containersOf(t, run); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	s := newStage(t, "build: testdata/contained, ready: {http: /, within: 1m}"+more)
	s.env.Run = run
	return s
}

func containersOf(t *testing.T, run string) (names []string) {
	t.Helper()
	d, err := container.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	found, err := d.API().ContainerList(context.Background(), client.ContainerListOptions{
		All: true, Filters: make(client.Filters).Add("label", container.LabelRun+"="+run),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range found.Items {
		names = append(names, strings.Join(c.Names, ","))
	}
	return names
}

func TestAContainerReachesItsNeighboursOverWiresAlone(t *testing.T) {
	host := httptest.NewServer(http.NotFoundHandler())
	defer host.Close()
	_, port, err := net.SplitHostPort(host.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := newContained(t, ", env: {HOST_PORT: '"+port+"'}")
	s.start()
	if got, err := s.ask("/ask"); err != nil || got != "archived" {
		t.Fatalf("asked the archive through the worker: %q, %v", got, err)
	}
	if got, err := s.ask("/outside"); err != nil || got != "nobody is there" {
		t.Errorf("beside its wires it has %q, %v", got, err)
	}
	cut, err := s.env.Fabric.Inject(t.Context(), wire.Fault{
		Name: "cut", Wire: topology.Wire{From: "worker", To: "archive"}, Replica: -1, Kind: wire.Cut,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.ask("/ask"); err != nil || !strings.Contains(got, "cannot be asked") {
		t.Errorf("with its wire cut the archive was asked: %q, %v", got, err)
	}
	if err := cut.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(containersOf(t, s.env.Run)); n != 2 {
		t.Errorf("%d containers carry the run's label, want its holder and itself", n)
	}
}

func TestContainersEnd(t *testing.T) {
	again := func(end func(context.Context, simulators.Replicated) error) func(
		context.Context, simulators.Replicated) error {
		return func(ctx context.Context, r simulators.Replicated) error {
			return errors.Join(end(ctx, r), r.StartReplica(ctx, 0))
		}
	}
	cases := map[string]struct {
		end    func(context.Context, simulators.Replicated) error
		states []string
		status string
	}{
		"stop/in order/exits by itself and comes back": {
			again(stops), []string{"code", "up", "ready", "down", "up", "ready", "down"}, "exit code 0"},
		"kill/at once/killed and comes back": {
			again(kills), []string{"code", "up", "ready", "crash", "up", "ready", "down"},
			"exit code 137"},
		"stop/paused/hears it when it goes on": {
			func(ctx context.Context, r simulators.Replicated) error {
				if _, err := r.PauseReplica(0); err != nil {
					return err
				}
				return stops(ctx, r)
			}, []string{"code", "up", "ready", "down"}, "exit code 0"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newContained(t, "")
			s.start()
			if err := c.end(t.Context(), s.node.(simulators.Replicated)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.states, s.states()); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
			for _, want := range []string{"begins 0\n", "faultline: ended: " + c.status + "\n"} {
				if !strings.Contains(s.log(), want) {
					t.Errorf("log %q, want %q in it", s.log(), want)
				}
			}
		})
	}
}

func TestAContainerThatDiesShowsItsLastLines(t *testing.T) {
	s := newContained(t, ", env: {DIES: '1'}")
	err := s.node.Start(t.Context())
	var notReady *process.NotReadyError
	if !errors.As(err, &notReady) {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{"it ended: exit code 3, its last lines:\n", "there is no licence"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

func TestContainersAreLimitedAndMeasured(t *testing.T) {
	s := newContained(t, "")
	s.start()
	n := s.node.(*process.Node)
	lift, err := n.LimitReplica(t.Context(), 0, 0.2, 256<<20)
	if err != nil {
		t.Fatal(err)
	}
	used, err := n.Usage(t.Context())
	if err != nil || used.CPU == 0 || used.Memory == 0 || used.Memory > 256<<20 {
		t.Errorf("it uses %+v, %v", used, err)
	}
	if err := lift(t.Context()); err != nil {
		t.Error(err)
	}
}

// The worker in Python, in the place of worker1 of the iot-platform, fixed and with its bug.
func TestWorkerInPython(t *testing.T) {
	for name, file := range map[string]string{
		"poison/set aside/passes": "poison.yaml", "poison/dropped/caught": "poison.broken.yaml",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := scenariotest.Play(t.Context(),
				"../../topology/examples/own-worker/python/"+file, scenariotest.Out(t.TempDir()))
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range got.Differences {
				t.Error(d)
			}
		})
	}
}
