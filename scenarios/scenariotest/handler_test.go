package scenariotest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/scenarios/scenariotest"
)

const ordersCut = "testdata/orders-stream-cut.yaml"

func handler(do func(context.Context, scenariotest.Message) error) options {
	return options{scenariotest.Handler("worker.orders", do)}
}

// few are three orders of the steady phase.
func few(m scenariotest.Message) bool {
	return m.ID == "order-5" || m.ID == "order-6" || m.ID == "order-7"
}

func TestHandlers(t *testing.T) {
	failed := map[string]string{"steady": "unknown failed", "slo[order]": "invalid failed"}
	blocked := map[string]string{
		"steady": "unknown failed", "delivery[order]": "unknown", "conservation": "unknown",
		"order[order]": "unknown", "trace[order]": "unknown", "slo[order]": "invalid failed",
	}
	playAll(t, map[string]situation{
		"delivery/handler works/valid": {ordersCut, handler(
			func(context.Context, scenariotest.Message) error {
				return nil
			}), nil},
		"retry/first attempt panics/valid": {ordersCut, handler(
			func(_ context.Context, m scenariotest.Message) error {
				if few(m) && m.Attempt == 1 {
					panic("not yet")
				}
				return nil
			}), nil},
		"steady/handler never works for a few/failed": {ordersCut, handler(
			func(_ context.Context, m scenariotest.Message) error {
				if few(m) {
					return errors.New("never")
				}
				return nil
			}), failed},
		"delivery/handler blocks/unknown": {ordersCut, handler(
			func(ctx context.Context, _ scenariotest.Message) error {
				<-ctx.Done()
				return ctx.Err()
			}), blocked},
		"dead_letter/refused for good/valid": {ordersCut, handler(
			func(_ context.Context, m scenariotest.Message) error {
				if m.ID == "order-5" {
					return scenariotest.Permanent(errors.New("no such customer"))
				}
				return nil
			}), nil},
	})
}

// What a handler is given is what the fleet sent; refused for good, it is not given again.
func TestMessages(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	given := map[string][]scenariotest.Message{}
	got := results(t, map[string]situation{"": {ordersCut, options{
		scenariotest.Handler("worker", func(_ context.Context, m scenariotest.Message) error {
			mu.Lock()
			defer mu.Unlock()
			given[m.ID] = append(given[m.ID], m)
			if m.ID == "order-5" {
				return scenariotest.Permanent(errors.New("no such customer"))
			}
			return nil
		})}, nil}})[""]
	if len(given["order-5"]) != 1 {
		t.Errorf("order-5 was given %d times though it was refused for good", len(given["order-5"]))
	}
	m := given["order-5"][0]
	var body struct{ Customer string }
	if err := json.Unmarshal(m.Body, &body); err != nil {
		t.Fatal(err)
	}
	m.Body = nil
	want := scenariotest.Message{ID: "order-5", Flow: "order", Key: body.Customer, Subject: body.Customer, Attempt: 1}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("message (-want +given):\n%s", diff)
	}
	for _, v := range got.Report.Verdicts {
		if v.Property != "dead_letter" {
			continue
		}
		for _, f := range v.Figures {
			if f.Name == "found" && f.Value != 1 {
				t.Errorf("%v messages dead-lettered, want order-5 alone", f.Value)
			}
		}
	}
}

// A function that does not return when its context ends is named, and holds nothing up.
func TestAHandlerThatDoesNotReturnIsAFault(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		clock  scenariotest.Option
		faults int // in virtual time it is also said where it waits
	}{
		"real":    {scenariotest.RealTime(), 1},
		"virtual": {scenariotest.Virtual(), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var held atomic.Bool
			got := results(t, map[string]situation{"": {ordersCut, append(handler(
				func(_ context.Context, m scenariotest.Message) error {
					if m.ID == "order-5" && held.CompareAndSwap(false, true) {
						<-make(chan struct{}) // for ever
					}
					return nil
				}), c.clock), nil}})[""]
			want := `"worker.orders" did not return within 3s after its context ended: 1 calls are left`
			if len(got.Faults) != c.faults || got.Faults[0].Error() != want {
				t.Errorf("faults %v, want %d, first %s", got.Faults, c.faults, want)
			}
			if v := notValid(got)["load"]; v != "" || len(got.Report.Verdicts) == 0 {
				t.Errorf("the load is %q of %d verdicts", v, len(got.Report.Verdicts))
			}
		})
	}
}

// A function that does not look at its context has a while, by the run's clock, to return.
func TestAHandlerThatReturnsALittleLateIsNone(t *testing.T) {
	t.Parallel()
	got := results(t, map[string]situation{"": {ordersCut, handler(
		func(ctx context.Context, m scenariotest.Message) error {
			if few(m) {
				<-ctx.Done()
				time.Sleep(2 * time.Second)
			}
			return nil
		}), nil}})[""]
	if len(got.Faults) > 0 || got.Report.Clock.Time != "virtual" {
		t.Errorf("faults %v by clock %v", got.Faults, got.Report.Clock)
	}
}

func TestNamesThatStandForNothing(t *testing.T) {
	nothing := func(context.Context, scenariotest.Message) error { return nil }
	idle := func(context.Context, scenariotest.Env) error { return nil }
	for name, c := range map[string]struct {
		option scenariotest.Option
		want   string
	}{
		"handler of no node": {scenariotest.Handler("wroker.orders", nothing), `did you mean "worker"`},
		"no handler":         {scenariotest.Handler("worker.order", nothing), `did you mean "orders"`},
		"handler of a store": {scenariotest.Handler("lake", nothing), `"lake" is a store: code stands in the place of services and clouds`},
		"process of no node": {scenariotest.Process("wroker", idle), `did you mean "worker"`},
		"process of a fleet": {scenariotest.Process("app", idle), `"app" is a fleet`},
		"set without node":   {scenariotest.Set("wroker.replicas=2"), `wroker`},
		"no such engines":    {scenariotest.Engines("container"), `did you mean "containers"`},
		"no such image": {scenariotest.Images("testdata/images-mistaken.yaml"),
			`did you mean "redis:7.4"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := scenariotest.Play(t.Context(), ordersCut, scenariotest.Out(t.TempDir()), c.option)
			var mistakes *scenariotest.MistakesError
			if !errors.As(err, &mistakes) || !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("got %v, want a mistake with %s", err, c.want)
			}
		})
	}
}

func TestCodeGivenTwice(t *testing.T) {
	nothing := func(context.Context, scenariotest.Message) error { return nil }
	idle := func(context.Context, scenariotest.Env) error { return nil }
	_, err := scenariotest.Play(t.Context(), ordersCut, scenariotest.Out(t.TempDir()),
		scenariotest.Handler("worker", nothing), scenariotest.Handler("worker.orders", nothing),
		scenariotest.Process("worker", idle))
	want := `scenariotest.Handler: "worker.orders": code was given for it twice [unknown-handler]
scenariotest.Handler: "orders": a process runs in the place of "worker", it has no handlers [unknown-handler]`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want\n%s", err, want)
	}
}
