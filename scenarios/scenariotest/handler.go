package scenariotest

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/diag"
)

// Message is what a Handler is given.
type Message struct {
	ID      string // the CloudEvents id, "<flow>-<number>": the same each time it is delivered
	Flow    string
	Key     string // what it is ordered by, "" for none
	Subject string // whom it is about or for
	Body    []byte // JSON; not to be changed
	Attempt int    // of this delivery, from 1
}

// Permanent makes an error that trying again cannot mend: the message is dead-lettered or refused
// at once. Nil stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	f := simulators.Refusal(simulators.ReasonPermanent, err)
	f.Permanent = true
	return f
}

// handlerFunc is a handler of the test's own as simulators call it: in a goroutine of its own, so
// that one that does not return when its context ends holds up nothing.
func (c *code) handlerFunc(
	name string, do func(context.Context, Message) error,
) simulators.HandlerFunc {
	return func(ctx context.Context, m *message.Message, attempt int) error {
		ended := make(chan error, 1)
		c.begun(name)
		go func() {
			defer c.ended(name)
			err := error(simulators.Refusal(simulators.ReasonPanic, errGone))
			defer func() {
				if p := recover(); p != nil {
					err = simulators.Refusal(simulators.ReasonPanic, panicked(p))
				}
				c.failed(name, m, attempt, err)
				ended <- err
			}()
			err = do(ctx, given(m, attempt))
		}()
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func given(m *message.Message, attempt int) Message {
	g := Message{Flow: m.Flow, Key: m.Key, Subject: m.Subject, Body: m.Data, Attempt: attempt}
	if m.Number >= 0 {
		g.ID = m.ID()
	}
	return g
}

// handler is the handler that a name stands for: "node.handler", or "node" where it has one.
func handler(t *topology.Topology, name string) (simulators.HandlerName, error) {
	full, err := t.Resolve(name)
	if err == nil {
		return onlyHandler(t.Node(full), name)
	}
	segments := topology.SplitName(name)
	last := len(segments) - 1
	if last == 0 {
		return simulators.HandlerName{}, err
	}
	if full, err = t.Resolve(topology.JoinName(segments[:last]...)); err != nil {
		return simulators.HandlerName{}, err
	}
	n := t.Node(full)
	if err := isProgram(n); err != nil {
		return simulators.HandlerName{}, err
	}
	if n.Handler(segments[last]) == nil {
		return simulators.HandlerName{}, fmt.Errorf("%q has no handler %q, %s", full, segments[last],
			diag.Expected(segments[last], handlers(n)))
	}
	return simulators.HandlerName{Node: full, Handler: segments[last]}, nil
}

func onlyHandler(n *topology.Node, name string) (simulators.HandlerName, error) {
	if err := isProgram(n); err != nil {
		return simulators.HandlerName{}, err
	}
	names := handlers(n)
	if len(names) != 1 {
		return simulators.HandlerName{}, fmt.Errorf("%q has %d handlers, name one of them as %q, %s",
			name, len(names), name+".<handler>", diag.Expected("", names))
	}
	return simulators.HandlerName{Node: n.Name, Handler: names[0]}, nil
}

// isProgram says that code can stand in a node's place.
func isProgram(n *topology.Node) error {
	if n.Kind == topology.Service || n.Kind == topology.Cloud {
		return nil
	}
	return fmt.Errorf("%q is a %s: code stands in the place of services and clouds", n.Name, n.Kind)
}

func handlers(n *topology.Node) (names []string) {
	for _, h := range n.Handlers {
		names = append(names, h.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

var (
	// errTwice is a name for which code was given twice.
	errTwice = errors.New("code was given for it twice")
	// errGone is a function that neither returned nor panicked.
	errGone = errors.New("it ended its goroutine (runtime.Goexit, or t.FailNow)")
)

// panicked is what was recovered, with where it came from.
func panicked(p any) error { return fmt.Errorf("panic: %v\n%s", p, debug.Stack()) }
