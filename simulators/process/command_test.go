package process_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/process"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
)

func plays(part, more string) string {
	return "command: %PROGRAM%, env: {" + playsEnv + ": " + part + "}" + more
}

func TestACommandReachesItsNeighboursOverWiresAlone(t *testing.T) {
	s := newStage(t, plays("serves", ", ready: {http: /health}"))
	s.start()
	if got, err := s.ask("/ask"); err != nil || got != "archived" {
		t.Fatalf("asked the archive through the worker: %q, %v", got, err)
	}
	cut, err := s.env.Fabric.Inject(t.Context(), wire.Fault{
		Name: "cut", Wire: topology.Wire{From: "worker", To: "archive"}, Replica: -1, Kind: wire.Cut,
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.ask("/ask")
	if err != nil || !strings.Contains(got, "cannot be asked") {
		t.Errorf("with its wire cut the archive was asked: %q, %v", got, err)
	}
	if err := cut.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestANeighbourOfAnotherProtocolIsAPlainWire(t *testing.T) {
	s := newStage(t, "command: %PROGRAM%, env: {"+playsEnv+": serves, ASKS: $wire(legacy)}")
	s.legacy()
	s.start()
	if got, err := s.ask("/legacy"); err != nil || got != "hello" {
		t.Fatalf("asked the legacy through the worker: %q, %v", got, err)
	}
	way := topology.Wire{From: "worker", To: "legacy"}
	hole, err := s.env.Fabric.Inject(t.Context(), wire.Fault{
		Name: "cut", Wire: way, Replica: -1, Kind: wire.Cut,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.ask("/legacy"); err != nil || !strings.HasPrefix(got, "the legacy ") {
		t.Errorf("with its wire cut the legacy was asked: %q, %v", got, err)
	}
	if err := hole.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("WORKER_SECRET", "hush")
	t.Setenv("UNNAMED", "not for it")
	s := newStage(t, "command: %PROGRAM%, env: {"+playsEnv+`: serves, TOKEN: $env(WORKER_SECRET),
    ARCHIVE: "at $wire(archive)", COST: $$5, ARCHIVE_PORT: "7", WHERE: "$listen $port $replica"}`)
	s.start()
	text, err := s.ask("/env")
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		env[name] = value
	}
	archive := strings.TrimPrefix(env["ARCHIVE_URL"], "http://")
	want := map[string]string{
		playsEnv: "serves", "TOKEN": "hush", "ARCHIVE": "at " + archive, "COST": "$5",
		"ARCHIVE_PORT": "7", "ARCHIVE_URL": "http://" + archive, "REPLICA": "0",
		"LISTEN_ADDR": env["LISTEN_ADDR"], "PORT": env["LISTEN_ADDR"][len("127.0.0.1:"):],
		"WHERE": env["LISTEN_ADDR"] + " " + env["PORT"] + " 0",
	}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG"} {
		if value, ok := os.LookupEnv(name); ok {
			want[name] = value
		}
	}
	if diff := cmp.Diff(want, env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if strings.Contains(s.log(), "hush") {
		t.Error("the log holds a secret")
	}
}

func TestReadiness(t *testing.T) {
	var lines []string
	for i := 11; i < 30; i++ {
		lines = append(lines, "line "+strconv.Itoa(i))
	}
	last := strings.Join(lines, "\n")
	cases := map[string]struct{ own, want string }{
		"ready/answers the path/ready":            {plays("serves", ", ready: {http: /health}"), ""},
		"ready/takes connections/ready":           {plays("serves", ", ready: {tcp: true}"), ""},
		"ready/nothing declared and called/ready": {plays("serves", ""), ""},
		"ready/prints the text/not listening yet": {
			plays("logs", ", ready: {log: listening on, within: 20s}"), ""},
		"ready/prints what matches/ready": {
			plays("logs", `, ready: {log: "listening on \\d+$", within: 20s}`), ""},
		"ready/another path/refused": {
			plays("serves", ", ready: {http: /nothing, within: 2s}"),
			"it does not answer GET /nothing on LISTEN_ADDR: it answers 404 Not Found"},
		"ready/never prints it/refused": {
			plays("logs", ", ready: {log: never said, within: 300ms}"),
			`no line of its output has "never said" in it: context deadline exceeded`},
		"ready/dies/its last lines": {
			plays("dies", ""), "it ended: exit status 3, its last lines:\nline 10\n" + last},
		"ready/no such program/named": {
			"command: ./no-such-program", `run "./no-such-program": `},
		"ready/variable that is not there/named": {
			"command: %PROGRAM%, env: {A: $env(PROCESS_TEST_NOT_SET)}",
			"fill in A: the environment has no variable PROCESS_TEST_NOT_SET"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, c.own)
			err := s.node.Start(t.Context())
			var notReady *process.NotReadyError
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want != "" && (!errors.As(err, &notReady) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

func TestOutputGoesToAFileOfItsOwner(t *testing.T) {
	s := newStage(t, plays("serves and stops", ""))
	s.start()
	want := []string{"code", "up", "ready", "down"}
	if diff := cmp.Diff(want, s.states()); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	pattern := regexp.MustCompile(`^faultline: started \S+ as process \d+
playing serves and stops
faultline: ended: exit status 0
$`)
	if got := s.log(); !pattern.MatchString(got) {
		t.Errorf("log %q", got)
	}
	for path, want := range map[string]os.FileMode{"logs": 0o700, "logs/worker-0.log": 0o600} {
		info, err := os.Stat(filepath.Join(s.dir, path))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s is open to %v (%v), want %v", path, info.Mode().Perm(), err, want)
		}
	}
}

func TestEnds(t *testing.T) {
	cases := map[string]struct {
		own    string
		end    func(context.Context, simulators.Replicated) error
		states []string
		status string
	}{
		"stop/in order/exits by itself": {
			plays("serves and stops", ""), stops, []string{"code", "up", "ready", "down"}, "exit status 0"},
		"stop/ignored/killed in the end": {
			plays("is stubborn", ", stop_within: 200ms"), stops,
			[]string{"code", "up", "ready", "down"}, "signal: killed"},
		"kill/at once/killed": {
			plays("is stubborn", ""), kills, []string{"code", "up", "ready", "crash"}, "signal: killed"},
		"stop/paused/hears it when it goes on": {
			plays("serves and stops", ""),
			func(ctx context.Context, r simulators.Replicated) error {
				if _, err := r.PauseReplica(0); err != nil {
					return err
				}
				return stops(ctx, r)
			}, []string{"code", "up", "ready", "down"}, "exit status 0"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, c.own)
			s.start()
			if err := c.end(t.Context(), s.node.(simulators.Replicated)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.states, s.states()); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
			if want := "faultline: ended: " + c.status + "\n"; !strings.Contains(s.log(), want) {
				t.Errorf("log %q, want %q in it", s.log(), want)
			}
		})
	}
}

func stops(ctx context.Context, r simulators.Replicated) error { return r.StopReplica(ctx, 0) }
func kills(ctx context.Context, r simulators.Replicated) error { return r.CrashReplica(ctx, 0) }

func TestWhatItStartedEndsWithIt(t *testing.T) {
	s := newStage(t, plays("has a child", ""))
	s.start()
	child := regexp.MustCompile(`child (\d+)`)
	until(t, "it says which child it has", func() bool { return child.MatchString(s.log()) })
	pid, err := strconv.Atoi(child.FindStringSubmatch(s.log())[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := s.node.(simulators.Replicated).StopReplica(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	until(t, "its child is gone", func() bool { return !alive(pid) })
}

// A process that is killed takes the programs of its nodes with it, and what these have started.
func TestNothingOutlivesAProcessThatIsKilled(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), playsEnv+"=guards", "PROCESS_TEST_DIR="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pids := regexp.MustCompile(`(?:process|child) (\d+)`)
	var found [][]string
	until(t, "it says what it has started", func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "logs", "worker-0.log"))
		found = pids.FindAllStringSubmatch(string(text), -1)
		return len(found) == 2
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	for _, m := range found {
		pid, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		until(t, "process "+m[1]+" is gone", func() bool { return !alive(pid) })
	}
}

// alive says that a process is there and has not ended.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	return err != nil || !strings.Contains(string(status), "State:\tZ")
}

// until waits for a condition that others bring about.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never came true: %s", what)
		}
	}
}

func TestPauseHoldsTheProcess(t *testing.T) {
	s := newStage(t, plays("serves", ""))
	s.start()
	r := s.node.(simulators.Replicated)
	resume, err := r.PauseReplica(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.PauseReplica(0); err == nil {
		t.Error("it is paused twice")
	}
	answered := make(chan error, 1)
	go func() {
		_, err := s.ask("/health")
		answered <- err
	}()
	pid := regexp.MustCompile(`process (\d+)`).FindStringSubmatch(s.log())[1]
	until(t, "it is stopped", func() bool {
		status, err := os.ReadFile("/proc/" + pid + "/status")
		return err != nil || strings.Contains(string(status), "State:\tT")
	})
	select {
	case err := <-answered:
		t.Errorf("it answered while it was paused: %v", err)
	default:
	}
	resume()
	if err := <-answered; err != nil {
		t.Errorf("what was asked while it was paused was not answered: %v", err)
	}
}

func TestDeathsByItself(t *testing.T) {
	t.Run("restart/never/the history says so", func(t *testing.T) {
		s := newStage(t, plays("serves", ""))
		s.start()
		crashed := s.env.Recorder.Count(func(e *history.Event) bool { return e.Reason == "crash" })
		defer crashed.Stop()
		s.ask("/exit")
		until(t, "the history says so", func() bool { return crashed.Value() == 1 })
		if diff := cmp.Diff([]string{"code", "up", "ready", "crash"}, s.states()); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
	})
	t.Run("restart/always/started again", func(t *testing.T) {
		s := newStage(t, plays("serves", ", restart: always"))
		s.start()
		s.ask("/exit")
		until(t, "it answers again", func() bool {
			_, err := s.ask("/health")
			return err == nil
		})
		want := []string{"code", "up", "ready", "crash", "up", "ready"}
		if got := s.states(); !slices.Equal(got[:min(len(got), len(want))], want) {
			t.Errorf("states %q, want %q and its end", got, want)
		}
	})
}

func TestScale(t *testing.T) {
	s := newStage(t, plays("serves and stops", ", replicas: 2"))
	s.start()
	r := s.node.(simulators.Replicated)
	if err := r.Scale(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if err := r.Scale(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if n := r.Replicas(); n != 1 {
		t.Errorf("%d replicas, want 1", n)
	}
	states := s.states()
	slices.Sort(states)
	want := []string{"code", "down", "down", "down", "ready", "ready", "ready", "up", "up", "up"}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}
