package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine/container/service"
)

// readyPoll is how often it is asked whether a program is ready.
const readyPoll = 5 * time.Millisecond

// readyWithin bounds the time that a program of a declared node has to become ready.
func (n *Node) readyWithin(ctx context.Context) (context.Context, context.CancelFunc) {
	if n.Run != nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, n.Node.Own.Ready.Within)
}

// ReadyWithin is how long the node may take from Start to its return: what its programs are given,
// and a little for channels and tables.
func (n *Node) ReadyWithin() time.Duration {
	if n.Run != nil {
		return 0
	}
	within := n.Node.Own.Ready.Within + declareWithin
	if n.contained() {
		within += service.BuildWithin
	}
	return within
}

// declareWithin is the time for making channels and tables.
const declareWithin = 10 * time.Second

// awaitReady returns when the replica is ready, as its node declares or as is seen from outside.
func (n *Node) awaitReady(ctx context.Context, r *replica, near surroundings) error {
	ready := topology.Ready{}
	if n.Run == nil {
		ready = n.Node.Own.Ready
	}
	switch {
	case ready.HTTP != "":
		return r.poll(ctx, "it does not answer GET "+ready.HTTP+" on LISTEN_ADDR",
			func(ctx context.Context) error { return r.get(ctx, ready.HTTP) })
	case ready.Log != "":
		return r.await(ctx, r.body.said(), fmt.Sprintf("no line of its output has %q in it", ready.Log))
	case ready.TCP:
		return r.listens(ctx)
	}
	for _, e := range near.awaited {
		err := r.await(ctx, e.Answered(), "it did not begin to take messages over "+e.Address())
		if err != nil {
			return err
		}
	}
	if n.called {
		return r.listens(ctx)
	}
	return nil
}

// await waits for one thing that happens once.
func (r *replica) await(ctx context.Context, done <-chan struct{}, otherwise string) error {
	select {
	case <-done:
		return nil
	case <-r.returned:
		return r.early()
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", otherwise, ctx.Err())
	}
}

// listens waits until the program takes connections.
func (r *replica) listens(ctx context.Context) error {
	return r.poll(ctx, "it does not listen on LISTEN_ADDR", func(ctx context.Context) error {
		c, err := r.port.Dial(ctx)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// poll asks until the answer is good.
func (r *replica) poll(
	ctx context.Context, otherwise string, ask func(context.Context) error,
) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	var last error
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-tick.C:
		case <-r.returned:
			return r.early()
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", otherwise, last)
		}
	}
}

// get asks the program itself, over a path without faults.
func (r *replica) get(ctx context.Context, path string) error {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return r.port.Dial(ctx)
		},
	}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1"+path, nil)
	if err != nil {
		return err
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	if err := answer.Body.Close(); err != nil {
		return err
	}
	if answer.StatusCode >= http.StatusBadRequest {
		return errors.New("it answers " + answer.Status)
	}
	return nil
}

// early is a program that has ended before it was ready.
func (r *replica) early() error { return r.body.end() }
