//go:build containers

package container_test

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/features"
	"github.com/faultline-sim/faultline/topology/stack"
)

// answers says whether the engine takes so many messages from somebody who comes now.
func answers(t *testing.T, b bed, messages int64) bool {
	u := b.user(t)
	for n := range messages {
		ctx, cancel := dead(b.ctx)
		err := u.put(ctx, n)
		cancel()
		if err != nil {
			return false
		}
	}
	return true
}

// enough messages meet a full disk, whatever room a product has taken beforehand.
const enough = 500

// bites checks that an engine answers, does not while something is done to it, and does again.
func bites(t *testing.T, b bed, what string, do func(context.Context) (
	func(context.Context) error, error)) {
	t.Helper()
	if err := b.user(t).put(b.ctx, 1); err != nil {
		t.Fatalf("%s/before/it does not answer: %v", what, err)
	}
	heal, err := do(b.ctx)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if answers(t, b, enough) {
		t.Errorf("%s/in force/it answers", what)
	}
	if err := heal(b.ctx); err != nil {
		t.Fatalf("%s/healed/%v", what, err)
	}
	if err := b.user(t).put(b.ctx, 3); err != nil {
		t.Errorf("%s/healed/it does not answer: %v", what, err)
	}
}

func TestPauseAndCut(t *testing.T) {
	for _, p := range protocols {
		t.Run(p, func(t *testing.T) {
			b := up(t, node(p), nil)
			bites(t, b, "pause", b.engine.(engine.Pauser).Pause)
			if b.engine.Info().Able(features.CutOff) {
				bites(t, b, "cut", b.engine.(engine.Cutter).CutOff)
			}
		})
	}
}

func TestDisconnectAll(t *testing.T) {
	for _, p := range protocols {
		t.Run(p, func(t *testing.T) {
			b := up(t, node(p), nil)
			if !b.engine.Info().Able(features.DisconnectAll) {
				t.Skip(b.engine.Info().Why[features.DisconnectAll])
			}
			c, err := b.dialer().Dial(b.ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := b.user(t).put(b.ctx, 1); err != nil {
				t.Fatal(err)
			}
			n, err := b.engine.(engine.Disconnecter).DisconnectAll(b.ctx)
			if err != nil || n == 0 {
				t.Errorf("disconnect/one client/want it dropped, got %d and %v", n, err)
			}
			c.SetReadDeadline(time.Now().Add(soon))
			_, err = io.Copy(io.Discard, c) // some servers greet
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("disconnect/an idle connection/it is still open")
			}
			if err := b.user(t).put(b.ctx, 2); err != nil {
				t.Errorf("disconnect/afterwards/%v", err)
			}
		})
	}
}

func TestFullDisk(t *testing.T) {
	const disk = 192 << 20
	for _, p := range []string{"amqp", "kafka", "nats", "postgres", "redis"} {
		t.Run(p, func(t *testing.T) {
			n := node(p)
			b := up(t, n, func(o *stack.Options) { o.Disks = map[string]int64{n.Name: disk} })
			bites(t, b, "disk", b.engine.(engine.DiskFiller).FillDisk)
			// Before and after; what was refused may be there or not.
			if got, err := b.user(t).count(b.ctx); err != nil || got < 2 {
				t.Errorf("disk/healed/of two messages %d are there, %v", got, err)
			}
		})
	}
}

func TestADiskOfTheMachineIsNotFilled(t *testing.T) {
	b := up(t, node("redis"), nil)
	if _, err := b.engine.(engine.DiskFiller).FillDisk(b.ctx); err == nil {
		t.Error("fill disk/the machine's own/want an error")
	}
}

func TestLimits(t *testing.T) {
	b := up(t, node("redis"), nil)
	l := b.engine.(engine.Limiter)
	lift, err := l.Limit(b.ctx, 0.1, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	if got := limitsOf(t); got != "10000 67108864" {
		t.Errorf("limit/in force/got %q", got)
	}
	b.do(t, lift)
	if got := limitsOf(t); got == "10000 67108864" {
		t.Errorf("limit/lifted/got %q", got)
	}
	t.Log("lifted:", limitsOf(t))
}

func TestUsage(t *testing.T) {
	b := up(t, node("redis"), nil)
	u, err := b.engine.(engine.Metered).Usage(b.ctx)
	if err != nil || u.CPU <= 0 || u.Memory <= 0 {
		t.Errorf("usage/running/got %+v and %v", u, err)
	}
	b.do(t, b.engine.Kill)
	if u, err := b.engine.(engine.Metered).Usage(b.ctx); err == nil {
		t.Errorf("usage/killed/want an error, got %+v", u)
	}
}
