// Package pubsub is the embedded Google Pub/Sub: the Publisher and Subscriber services of
// google.pubsub.v1 over the fabric's listener, kept in memory.
//
// It serves the run step of load → plan → run → check → report. It promises what the service's
// contract says of topics, subscriptions, ack deadlines, delivery attempts, dead-letter topics,
// ordering keys, retention and limits, and that topics, subscriptions and messages outlive Stop and
// Kill; they end with Wipe or Close. Of one ordering key one message is out at a time, as on
// Google's own test server; the service may give several of a key to one consumer. It has no
// filters, push, schemas, snapshots, seek or exactly-once delivery, and says so where they are
// asked for. It may not import a client, a simulator or the fabric.
//
// Google's test server (pstest) is not used: it counts a message's deliveries over all
// subscriptions of its topic together, which dead-letters too early where there are two; it walks
// the whole backlog at each pull and every 10 ms; and it keeps every message ever published.
//
// Source: google/pubsub/v1/pubsub.proto and the service's quotas and limits.
package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/embedded/gate"
	"github.com/faultline-sim/faultline/topology/features"
)

const (
	// orderly is how long Stop lets answers in hand go out.
	orderly = time.Second
	// window is how many bytes a connection carries unconfirmed, so that large messages need few
	// round trips.
	window = 4 << 20
	// oftenPinged is how often a client may ask whether the connection lives.
	oftenPinged = time.Second
	// workers answer calls one after the other: a goroutine that is kept need not grow its stack for
	// each. Calls that find none free get a goroutine of their own.
	workers = 16
)

// Engine is one Pub/Sub service. It implements engine.Engine, engine.Disconnecter and
// engine.Holder.
type Engine struct {
	cfg   engine.Config
	data  *server
	runs  atomic.Bool
	gate  *gate.Gate   // nil while stopped
	grpc  *grpc.Server // nil while stopped
	quit  func()       // ends waiting pulls
	ended sync.WaitGroup
}

// New prepares an engine; nothing listens before Start.
func New(cfg engine.Config) (engine.Engine, error) {
	if cfg.Authenticate != nil {
		return nil, fmt.Errorf("make pubsub engine %q: it cannot check passwords", cfg.Node.Name)
	}
	return &Engine{cfg: cfg, data: newServer()}, nil
}

// Start listens and returns when a list of topics is answered.
func (e *Engine) Start(ctx context.Context) error {
	if e.gate != nil {
		return errors.New("start pubsub: it runs already")
	}
	l, err := e.cfg.Host.Listen(0)
	if err != nil {
		return fmt.Errorf("listen for pubsub: %w", err)
	}
	e.gate, e.quit, e.grpc = gate.New(l), e.data.open(), newGRPC()
	pb.RegisterPublisherServer(e.grpc, e.data)
	pb.RegisterSubscriberServer(e.grpc, e.data)
	serving, door := e.grpc, e.gate
	e.ended.Go(func() { _ = serving.Serve(door) }) // ends with the gate
	e.runs.Store(true)
	if err := probe(ctx, e.gate); err != nil {
		return errors.Join(fmt.Errorf("probe pubsub at %s: %w", l.Addr(), err), e.Kill(ctx))
	}
	return nil
}

func newGRPC() *grpc.Server {
	return grpc.NewServer(
		grpc.NumStreamWorkers(workers),
		grpc.MaxRecvMsgSize(2*mostRequest), // so that what is too large is told from what is broken
		grpc.InitialWindowSize(window),
		grpc.InitialConnWindowSize(window),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: oftenPinged, PermitWithoutStream: true,
		}),
	)
}

// Stop lets answers in hand go out, then ends every connection.
func (e *Engine) Stop(ctx context.Context) error {
	if e.gate == nil {
		return nil
	}
	e.quit()
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.grpc.GracefulStop()
	}()
	late := time.NewTimer(orderly)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
	case <-ctx.Done():
	}
	err := e.end()
	<-done
	return err
}

// Kill resets all connections. What was answered is kept.
func (e *Engine) Kill(context.Context) error {
	if e.gate == nil {
		return nil
	}
	e.gate.Close()
	e.gate.Drop(true)
	e.quit()
	return e.end()
}

func (e *Engine) end() error {
	e.runs.Store(false)
	e.gate.Close()
	e.grpc.Stop()
	e.gate.Drop(false)
	e.ended.Wait()
	e.gate, e.grpc = nil, nil
	return nil
}

// Wipe forgets all topics, subscriptions and messages.
func (e *Engine) Wipe(context.Context) error {
	if e.gate != nil {
		return errors.New("wipe pubsub: it runs")
	}
	e.data.wipe()
	return nil
}

// DisconnectAll resets every connection; what was taken over them stays leased.
func (e *Engine) DisconnectAll(context.Context) (int, error) {
	if e.gate == nil {
		return 0, errors.New("disconnect clients: pubsub is stopped")
	}
	return e.gate.Drop(true), nil
}

// Info says what this imitation is worth.
func (e *Engine) Info() engine.Info {
	return engine.InfoOf(features.Embedded, e.cfg.Node,
		engine.Version("cloud.google.com/go/pubsub/v2"))
}

// Close stops the engine and forgets all that it kept.
func (e *Engine) Close() error {
	err := e.Kill(context.Background())
	e.data.wipe()
	return err
}

var (
	_ engine.Engine       = (*Engine)(nil)
	_ engine.Disconnecter = (*Engine)(nil)
	_ engine.Holder       = (*Engine)(nil)
)
