//go:build unix

package process

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/wire"
)

// roleName is the environment variable by which this test's own binary is told to be another
// program.
const roleName = "TEST_ROLE"

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleName); role {
	case "":
		os.Exit(m.Run())
	case "broker":
		brokerMain()
	case "wanderer":
		select {}
	default:
		ownerMain(role)
	}
}

// brokerMain greets whoever connects, at the port that it is given. What it is to do else is in its
// environment.
func brokerMain() {
	has := func(what string) bool { return strings.Contains(os.Getenv("TEST_HABITS"), what) }
	fmt.Println("this is the broker")
	if has("dies") {
		fmt.Println("no luck today")
		os.Exit(3)
	}
	if has("wanders") {
		w := exec.Command(os.Args[0])
		w.Env = append(os.Environ(), roleName+"=wanderer")
		w.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := w.Start(); err != nil {
			panic(err)
		}
	}
	if has("deaf") {
		signal.Ignore(syscall.SIGTERM)
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		panic(err)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		if !has("mute") {
			io.WriteString(c, "hello\n")
		}
	}
}

// ownerMain starts an engine, says what to look for once it is gone, and waits to be killed. Its
// role is the protocol, or "fake", and whether the engine is frozen.
func ownerMain(role string) {
	protocol, paused := strings.CutSuffix(role, " paused")
	dir, err := os.MkdirTemp("", "owned")
	if err != nil {
		panic(err)
	}
	fabric, err := wire.New(wire.Options{})
	if err != nil {
		panic(err)
	}
	cfg := configOf(protocol, fabric, dir)
	var e engine.Engine = fakeEngine(cfg, "")
	if protocol != "fake" {
		if e, err = New(cfg); err != nil {
			panic(err)
		}
	}
	if err := e.Start(context.Background()); err != nil {
		panic(err)
	}
	if paused {
		if _, err := e.(engine.Pauser).Pause(context.Background()); err != nil {
			panic(err)
		}
	}
	c := childOf(e)
	fmt.Println(c.group, c.mark, dir)
	select {}
}

func childOf(e engine.Engine) *child {
	switch e := e.(type) {
	case *Engine:
		return e.child.Load()
	case *RabbitMQ:
		return e.child.Load()
	case *Moto:
		return e.child.Load()
	}
	return nil
}

// owned is a process with an engine, and what is to be found of it.
func owned(t *testing.T, role string) (*exec.Cmd, *child) {
	t.Helper()
	p := exec.Command(os.Args[0])
	p.Env = append(os.Environ(), roleName+"="+role)
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill(); p.Wait() })
	defer time.AfterFunc(time.Minute, func() { p.Process.Kill() }).Stop()
	line, err := bufio.NewReader(out).ReadString('\n')
	fields := strings.Fields(line)
	if err != nil || len(fields) != 3 {
		t.Fatalf("the owner said %q, %v", line, err)
	}
	t.Cleanup(func() { os.RemoveAll(fields[2]) })
	group, err := strconv.Atoi(fields[0])
	if err != nil {
		t.Fatal(err)
	}
	return p, &child{group: group, mark: fields[1]}
}

// host is the fabric as an engine sees it.
type host struct {
	wire.Fabric
	node string
}

func (h host) Listen(replica int) (net.Listener, error) { return h.Fabric.Listen(h.node, replica) }

func (h host) Port(replica int) (int, error) { return h.Fabric.Port(h.node, replica) }

func (h host) Announce(replica int, addr string) error {
	return h.Fabric.Announce(h.node, replica, addr)
}

func (h host) Dial(ctx context.Context, replica int) (net.Conn, error) {
	port, err := h.Port(replica)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

func configOf(protocol string, fabric wire.Fabric, dir string) engine.Config {
	n := &topology.Node{Name: "the." + protocol, Kind: topology.Broker, Protocol: protocol}
	return engine.Config{Node: n, Host: host{fabric, n.Name}, Dir: dir}
}

func config(t *testing.T, protocol string) engine.Config {
	t.Helper()
	fabric, err := wire.New(wire.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fabric.Close() })
	return configOf(protocol, fabric, t.TempDir())
}

// fakeEngine is an engine whose program is this test's own binary.
func fakeEngine(cfg engine.Config, habits string) *Engine {
	e := newEngine(cfg, program{name: os.Args[0]})
	e.product = product{
		ports: 1, asked: "a greeting",
		files: func() map[string]string { return map[string]string{confDir + "/a.conf": "x"} },
		command: func(path string) command {
			return command{
				path: path, args: []string{strconv.Itoa(e.ports[0])},
				env: map[string]string{roleName: "broker", "TEST_HABITS": habits},
			}
		},
		probe: greeted,
	}
	return e
}

func greeted(c net.Conn) error {
	said, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && said != "hello\n" {
		err = fmt.Errorf("it said %q", said)
	}
	return err
}

func fake(t *testing.T, habits string) *Engine {
	t.Helper()
	e := fakeEngine(config(t, "sqs"), habits)
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// do fails the test where a step does.
func do(t *testing.T, steps ...func(context.Context) error) {
	t.Helper()
	for i, step := range steps {
		if err := step(t.Context()); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
}

// answers says whether somebody who comes now is answered soon.
func answers(t *testing.T, e *Engine, soon time.Duration) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	return e.ask(ctx) == nil
}
