//go:build containers

package container_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/container"
	"github.com/faultline-sim/faultline/topology/features"
)

func TestLife(t *testing.T) {
	for _, p := range protocols {
		t.Run(p, func(t *testing.T) {
			b := up(t, node(p), nil)
			u := b.user(t)
			before := b.addresses()
			if err := u.put(b.ctx, 1); err != nil {
				t.Fatal(err)
			}
			kept := 0
			if b.engine.Info().Able(features.KeepsData) {
				kept = 1
			}

			b.do(t, b.engine.Stop, b.engine.Start)
			if n := count(t, b, u); n != kept {
				t.Errorf("data/stopped and started/want %d messages, got %d", kept, n)
			}
			if p != "mqtt" { // which says what a kill may lose
				b.do(t, b.engine.Kill, b.engine.Start)
				if n := count(t, b, u); n != kept {
					t.Errorf("data/killed and started/want %d messages, got %d", kept, n)
				}
			}
			if after := b.addresses(); !slices.Equal(before, after) {
				t.Errorf("addresses/stopped and killed/were %v, are %v", before, after)
			}

			if err := b.engine.Wipe(b.ctx); err == nil {
				t.Error("wipe/running/want an error")
			}
			b.do(t, b.engine.Kill, b.engine.Wipe, b.engine.Start)
			if n := count(t, b, u); n != 0 {
				t.Errorf("data/wiped/want none, got %d", n)
			}
		})
	}
}

func TestASecondStartIsRefused(t *testing.T) {
	b := up(t, node("redis"), nil)
	if err := b.engine.Start(b.ctx); err == nil {
		t.Error("start/running/want an error")
	}
}

func TestClosingTwiceWithAContextThatIsOver(t *testing.T) {
	b := up(t, node("redis"), nil)
	over, cancel := context.WithCancel(b.ctx)
	cancel()
	if err := b.engine.Stop(over); err == nil {
		t.Error("stop/context over/want an error")
	}
	for range 2 {
		if err := b.engine.Close(); err != nil {
			t.Error(err)
		}
	}
	nothingIsLeft(t)
}

func TestClosingWhatIsFrozenOrCutOff(t *testing.T) {
	for name, do := range map[string]func(bed) (func(context.Context) error, error){
		"paused": func(b bed) (func(context.Context) error, error) {
			return b.engine.(engine.Pauser).Pause(b.ctx)
		},
		"cut": func(b bed) (func(context.Context) error, error) {
			return b.engine.(engine.Cutter).CutOff(b.ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := up(t, node("redis"), nil)
			heal, err := do(b)
			if errors.Is(err, container.ErrUnable) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			b.do(t, b.engine.Kill, heal, b.engine.Start)
			if err := b.user(t).put(b.ctx, 1); err != nil {
				t.Errorf("killed, healed and started/it does not answer: %v", err)
			}
			if _, err := do(b); err != nil {
				t.Fatal(err)
			}
			if err := b.stack.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// dead is a context whose deadline is near.
func dead(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 1500*time.Millisecond)
}
