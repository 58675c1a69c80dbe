//go:build unix

package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/topology/engine"
)

const (
	soon = 300 * time.Millisecond // for what is not to happen
	late = 10 * time.Second       // for what is to
)

func TestLifeOfAProgram(t *testing.T) {
	e := fake(t, "")
	do(t, e.Start)
	port := e.ports[0]
	kept := e.at(dataDir, "kept")
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func(context.Context) error{"stop": e.Stop, "kill": e.Kill} {
		do(t, end)
		if answers(t, e, soon) {
			t.Errorf("%s/ended/it answers", name)
		}
		do(t, e.Start)
		if !answers(t, e, late) || e.ports[0] != port {
			t.Errorf("%s/started again/it does not answer at its port", name)
		}
		if _, err := os.Stat(kept); err != nil {
			t.Errorf("%s/started again/its data is lost: %v", name, err)
		}
	}
	if e.Start(t.Context()) == nil || e.Wipe(t.Context()) == nil {
		t.Error("running/start or wipe/want errors")
	}
	do(t, e.Kill, e.Wipe)
	if _, err := os.Stat(kept); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("wiped/data/it is still there: %v", err)
	}
	do(t, e.Stop, e.Kill, e.Start)
	for range 2 {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, err := filepath.Glob(e.at("*")); err != nil || len(left) > 0 {
		t.Errorf("closed/files/left: %v, %v", left, err)
	}
}

func TestAStopInTime(t *testing.T) {
	for name, c := range map[string]struct {
		habits string
		prior  func(t *testing.T, e *Engine)
		within time.Duration
		want   string
	}{
		"in order": {"", func(*testing.T, *Engine) {}, late, ""},
		"does not listen": {"deaf", func(*testing.T, *Engine) {}, soon,
			"stop moto: it did not end in time and was killed"},
		"frozen": {"", func(t *testing.T, e *Engine) {
			if _, err := e.Pause(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, late, ""},
		"ended unasked": {"", func(_ *testing.T, e *Engine) {
			c := e.child.Load()
			c.program.Process.Kill()
			<-c.ended
		}, late, "stop moto: it had ended unasked: signal: killed; its last 1 lines:\n" +
			"    this is the broker"},
	} {
		t.Run(name, func(t *testing.T) {
			e := fake(t, c.habits)
			do(t, e.Start)
			c.prior(t, e)
			ctx, cancel := context.WithTimeout(t.Context(), c.within)
			defer cancel()
			said := ""
			if err := e.Stop(ctx); err != nil {
				said = err.Error()
			}
			if diff := cmp.Diff(c.want, said); diff != "" {
				t.Error(diff)
			}
			do(t, e.Start)
		})
	}
}

func TestAFrozenProgramKeepsItsConnections(t *testing.T) {
	e := fake(t, "")
	do(t, e.Start)
	resume, err := e.Pause(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := e.cfg.Host.Dial(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(soon))
	if greeted(c) == nil {
		t.Error("frozen/a new connection/it is answered")
	}
	do(t, resume)
	c.SetReadDeadline(time.Now().Add(late))
	if err := greeted(c); err != nil {
		t.Errorf("resumed/the connection/%v", err)
	}
	do(t, e.Kill, resume)
	if _, err := e.Pause(t.Context()); err == nil {
		t.Error("killed/pause/want an error")
	}
}

func TestAProgramThatIsNoBroker(t *testing.T) {
	for name, c := range map[string]struct {
		habits string
		is     error
		says   string
	}{
		"dies": {"dies", ErrDied, os.Args[0] + ": exit status 3; its last 2 lines:\n" +
			"    this is the broker\n    no luck today"},
		"mute": {"mute", ErrNotReady, "for a greeting over 1s; last: "},
	} {
		t.Run(name, func(t *testing.T) {
			e := fake(t, c.habits)
			ctx, cancel := context.WithTimeout(t.Context(), late)
			if name == "mute" {
				ctx, cancel = context.WithTimeout(t.Context(), time.Second)
			}
			defer cancel()
			err := e.Start(ctx)
			var p *engine.Problem
			if !errors.Is(err, c.is) || !errors.As(err, &p) || p.Hint() == "" {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
			if e.child.Load() != nil {
				t.Error("it is taken to run")
			}
		})
	}
}

func TestAMissingProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for protocol, want := range map[string][2]string{
		"amqp": {`the program is not installed: "rabbitmq-server" is not found on PATH`,
			"install the Debian package rabbitmq-server, or choose --engines containers"},
		"sqs": {`the program is not installed: "moto_server" is not found on PATH`,
			"install moto[server] from PyPI, or choose --engines containers"},
	} {
		e, err := New(config(t, protocol))
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{e.Start(t.Context()), Find(protocol)} {
			var p *engine.Problem
			if !errors.Is(err, ErrNoProgram) || !errors.As(err, &p) {
				t.Fatalf("%s: got %v", protocol, err)
			}
			if diff := cmp.Diff(want, [2]string{p.Error(), p.Hint()}); diff != "" {
				t.Errorf("%s: %s", protocol, diff)
			}
		}
		do(t, e.Stop, e.Kill, e.Wipe)
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := Find("kafka"); err == nil || errors.Is(err, ErrNoProgram) {
		t.Errorf("kafka/no program speaks it/got %v", err)
	}
}

func TestWhatCannotBeMade(t *testing.T) {
	guarded := config(t, "amqp")
	guarded.Authenticate = func(string, string) error { return nil }
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"protocol/unknown": {second(New(config(t, "kafka"))), `choose engine for "the.kafka": ` +
			`no program speaks "kafka"; there are amqp, kinesis, s3, sns, sqs`},
		"passwords/amqp": {second(New(guarded)),
			`make amqp engine "the.amqp": it cannot check passwords`},
	} {
		if c.err == nil || c.err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", name, c.err, c.want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestWhatAProgramInherits(t *testing.T) {
	run := command{
		env:  map[string]string{"HOME": "/here", "NEW": "=1"},
		drop: []string{"ERL_", "NOTIFY_SOCKET"},
	}
	base := []string{"PATH=/bin", "HOME=/root", "ERL_LIBS=x", "NOTIFY_SOCKET=y", "ERLANG=z"}
	got := run.environment(slices.Clip(base))
	want := []string{"PATH=/bin", "ERLANG=z", "HOME=/here", "NEW==1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLastLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "output")
	write := func(text string) output {
		o, err := openOutput(path)
		if err != nil {
			t.Fatal(err)
		}
		defer o.file.Close()
		if _, err := o.file.WriteString(text); err != nil {
			t.Fatal(err)
		}
		return o
	}
	before := write("of the start before\n")
	if got := write("").lastLines(); len(got) != 0 {
		t.Errorf("nothing written/got %q", got)
	}
	o := write("\n one\r\n\ntwo" + strings.Repeat("!", 1000) + "\nthree")
	want := []string{" one", "two" + strings.Repeat("!", longestLine-3), "three"}
	if diff := cmp.Diff(want, o.lastLines()); diff != "" {
		t.Error(diff)
	}
	o = write(strings.Repeat("a line of a long output\n", 10_000))
	if got := o.lastLines(); len(got) != lastLines || got[0] != got[lastLines-1] {
		t.Errorf("long output/got %q", got)
	}
	if got := before.first(); !strings.HasPrefix(got, "of the start before\n") {
		t.Errorf("first/got %q", got)
	}
}
