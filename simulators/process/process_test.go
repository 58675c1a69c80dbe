package process_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/cast"
	"github.com/faultline-sim/faultline/simulators/process"
	"github.com/faultline-sim/faultline/simulators/record"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
)

// playsEnv makes this test's program the program of a node, which does what the variable says.
const playsEnv = "PROCESS_TEST_PLAYS"

func TestMain(m *testing.M) {
	if part := os.Getenv(playsEnv); part != "" {
		os.Exit(play(part))
	}
	os.Exit(m.Run())
}

// play is the program of a node.
func play(part string) int {
	fmt.Println("playing", part)
	switch part {
	case "dies":
		for i := range 30 {
			fmt.Fprintln(os.Stderr, "line", i)
		}
		return 3
	case "serves":
		serve(context.Background())
	case "serves and stops":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		serve(ctx)
	case "is stubborn":
		signal.Ignore(syscall.SIGTERM)
		serve(context.Background())
	case "has a child":
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), playsEnv+"=serves")
		cmd.Stdout = os.Stdout
		if err := cmd.Start(); err != nil {
			return 4
		}
		fmt.Println("child", cmd.Process.Pid)
		select {}
	case "guards":
		return guards()
	case "echoes":
		echo()
	case "logs":
		fmt.Println("warming up")
		fmt.Println("now listening on 7")
		select {}
	}
	return 0
}

// serve answers what it is asked about itself, and asks the archive.
func serve(ctx context.Context) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /exit", func(http.ResponseWriter, *http.Request) { os.Exit(5) })
	mux.HandleFunc("GET /env", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Join(os.Environ(), "\n"))
	})
	mux.HandleFunc("GET /ask", func(w http.ResponseWriter, _ *http.Request) {
		answer, err := http.Get(os.Getenv("ARCHIVE_URL") + "/")
		if err != nil {
			http.Error(w, "the archive cannot be asked", http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		io.Copy(w, answer.Body)
	})
	mux.HandleFunc("GET /legacy", func(w http.ResponseWriter, _ *http.Request) {
		c, err := net.Dial("tcp", os.Getenv("LEGACY_ADDR"))
		if err != nil {
			http.Error(w, "the legacy cannot be asked", http.StatusBadGateway)
			return
		}
		defer c.Close()
		fmt.Fprintln(c, "hello")
		answer, err := bufio.NewReader(c).ReadString('\n')
		if err != nil {
			answer = "the legacy does not answer"
		}
		fmt.Fprint(w, strings.TrimSpace(answer))
	})
	l := listen()
	server := &http.Server{Handler: mux}
	go server.Serve(l)
	<-ctx.Done()
	server.Shutdown(context.Background())
}

func listen() net.Listener {
	l, err := net.Listen("tcp4", os.Getenv("LISTEN_ADDR"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	return l
}

// guards runs a node whose program has a child, and is killed with both still running.
func guards() int {
	s := newStage(lonely{}, plays("has a child", ""))
	s.start()
	fmt.Println(s.dir)
	select {}
}

// lonely stands in for a test in a process that is no test.
type lonely struct{ testing.TB }

func (lonely) Helper()                  {}
func (lonely) Cleanup(func())           {}
func (lonely) Context() context.Context { return context.Background() }
func (lonely) Fatal(args ...any)        { panic(fmt.Sprint(args...)) }
func (lonely) TempDir() string          { return os.Getenv("PROCESS_TEST_DIR") }

// echo answers each line with itself, in a protocol that nobody knows.
func echo() {
	for l := listen(); ; {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			io.Copy(c, c)
		}()
	}
}

// stage is a topology with a worker, played by this test's program, that calls an archive.
type stage struct {
	t    testing.TB
	env  *simulators.Env
	node simulators.Node
	dir  string
}

// newStage lays worker's own fields, as YAML, over the topology. %PROGRAM% is this program.
func newStage(t testing.TB, worker string) *stage {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := "home.app -> worker -> archive"
	if strings.Contains(worker, "endpoint:") {
		path = "home.app -> worker" // what runs elsewhere reaches nothing here
	}
	text := `
topology: small
nodes:
  home.app: {kind: fleet}
  worker: {kind: service, ` + strings.ReplaceAll(worker, "%PROGRAM%", "'"+self+"'") + `}
  archive: {kind: service}
  legacy: {kind: store, protocol: tcp, command: ` + "'" + self + "'" + `, env: {` + playsEnv + `: echoes}}
flows:
  order: {path: ` + path + `}
`
	top, diags := topology.Parse("small.yaml", []byte(text), topology.Options{})
	if !diags.Empty() {
		t.Fatal(diags.String())
	}
	s := &stage{t: t, dir: t.TempDir()}
	recorder, err := record.New(filepath.Join(s.dir, "history"))
	if err != nil {
		t.Fatal(err)
	}
	fabric, err := wire.New(wire.Options{Wires: top.Wires()})
	if err != nil {
		t.Fatal(err)
	}
	s.env = &simulators.Env{
		Topology: top, Fabric: fabric, Recorder: recorder, Logs: filepath.Join(s.dir, "logs"),
		Key: []byte("0123456789abcdef0123456789abcdef"),
	}
	s.archive()
	w := top.Node("worker")
	if w.Elsewhere() {
		s.node = process.NewElsewhere(s.env, w)
	} else if s.node, err = process.New(process.Config{
		Env: s.env, Node: w, Clients: cast.Clients(),
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.node.Close(), fabric.Close()); err != nil {
			t.Error(err)
		}
		recorder.Close(true)
	})
	return s
}

// archive is what the worker calls.
func (s *stage) archive() {
	l, err := s.env.Fabric.Listen("archive", 0)
	if err != nil {
		s.t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "archived")
	})}
	go server.Serve(l)
	s.t.Cleanup(func() { server.Close() })
}

// legacy starts the neighbour that speaks a protocol of its own.
func (s *stage) legacy() {
	s.t.Helper()
	n, err := process.New(process.Config{
		Env: s.env, Node: s.env.Topology.Node("legacy"), Clients: cast.Clients(),
	})
	if err == nil {
		err = n.Start(s.t.Context())
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { n.Close() })
}

func (s *stage) start() {
	s.t.Helper()
	if err := s.node.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// ask is a request of the fleet's to the worker, over their wire.
func (s *stage) ask(path string, header ...string) (string, error) {
	dialer := s.env.Fabric.Dialer(topology.Wire{From: "home.app", To: "worker"}, 0)
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.Dial(ctx) },
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://worker"+path, nil)
	if err != nil {
		return "", err
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// states are what the history says of the worker's replicas, in order.
func (s *stage) states() (all []string) {
	s.t.Helper()
	if err := errors.Join(s.node.Close(), s.env.Recorder.Close(true)); err != nil {
		s.t.Fatal(err)
	}
	r, err := history.Open(filepath.Join(s.dir, "history"))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Events(func(e *history.Event) bool {
		if e.Kind == history.NodeState {
			all = append(all, e.Reason)
		}
		return true
	})
	return all
}

func (s *stage) log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "logs", "worker-0.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}
