// Package aws is what the clients of Amazon's services share: requests over one wire, one try each,
// the judgement of their errors, and the state of the connection.
//
// It is used in the run step of load → plan → run → check → report, by the clients beside it. It
// promises that one Try is at most one request on the wire (the SDK's own retries are off), that an
// error wraps conn.ErrUnknown exactly when the request may have been carried out, and that nothing
// is left after Close. It may not import an engine or the fabric's making, nor a service's client.
package aws

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/httpx"
	"github.com/faultline-sim/faultline/simulators/conn/life"
)

const (
	// Region and Account are where everything is; the engines have but one of each.
	Region  = "us-east-1"
	Account = "123456789012"
	// AnswerTimeout bounds one request that a client waits for. Past it the answer is unknown.
	AnswerTimeout = 10 * time.Second
	// ProbeTimeout bounds a request that only asks whether the service answers.
	ProbeTimeout = 2 * time.Second
)

// Link is one client's way to a service. It is safe for concurrent use.
type Link struct {
	cfg       conn.Config
	transport *httpx.Transport
	life      *life.Life
	probe     atomic.Pointer[func(context.Context) error]

	mu   sync.Mutex
	rand *rand.Rand

	states sync.Mutex // held while the owner is told, so that states come in order
	up     bool
}

// NewLink makes a link; it connects when it is first used.
func NewLink(cfg conn.Config) *Link {
	return &Link{
		cfg: cfg, transport: httpx.NewTransport(cfg.Dialer), life: life.New(), rand: cfg.Chance(),
	}
}

// Config is what a service's client is made from ("kinesis.NewFromConfig"). The endpoint's name is
// of no importance: every connection goes over the wire.
func (l *Link) Config() aws.Config {
	endpoint := "http://localhost"
	return aws.Config{
		Region:       Region,
		BaseEndpoint: &endpoint,
		Credentials:  aws.CredentialsProviderFunc(l.credentials),
		HTTPClient:   &http.Client{Transport: httpx.PlainBodies{Next: l.transport}},
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
	}
}

// credentials are asked for with each request, so that a renewed password is used.
func (l *Link) credentials(context.Context) (aws.Credentials, error) {
	c := aws.Credentials{AccessKeyID: l.cfg.User, Source: "faultline"}
	if c.AccessKeyID == "" {
		c.AccessKeyID = "faultline"
	}
	if l.cfg.Password != nil {
		c.SecretAccessKey = l.cfg.Password()
	}
	if c.SecretAccessKey == "" {
		c.SecretAccessKey = "faultline"
	}
	return c, nil
}

// Wire is the wire's name, for errors.
func (l *Link) Wire() string { return l.cfg.Dialer.Wire().String() }

// Client is the client's id.
func (l *Link) Client() string { return l.cfg.Client }

// Life ends with the link; what it starts ends with it.
func (l *Link) Life() *life.Life { return l.life }

// Connect returns when the probe, a request without effect, was answered. It tries until ctx ends
// and is refused at once. From then on the link connects again by itself when it was lost.
func (l *Link) Connect(ctx context.Context, probe func(context.Context) error) error {
	for n := 1; ; n++ {
		err := l.Try(ctx, ProbeTimeout, probe)
		if err == nil {
			l.probe.Store(&probe)
			return nil
		}
		if errors.Is(err, conn.ErrRefused) {
			return fmt.Errorf("connect %q over %s: %w", l.cfg.Client, l.Wire(), err)
		}
		if wait := l.Pause(ctx, n); wait != nil {
			return fmt.Errorf("connect %q over %s: %w", l.cfg.Client, l.Wire(), errors.Join(wait, err))
		}
	}
}

// Try makes one request that has so long for its answer, and judges its error.
func (l *Link) Try(
	ctx context.Context, within time.Duration, request func(context.Context) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	defer context.AfterFunc(l.life, cancel)()
	ctx, sent := httpx.WithSent(ctx)
	err := request(ctx)
	l.note(ctx, err)
	return Judge(err, sent.Begun())
}

// Insist makes a request until it is answered with something else than that there is no room for
// it just now, or ctx ends.
func (l *Link) Insist(
	ctx context.Context, within time.Duration, request func(context.Context) error,
) error {
	for n := 1; ; n++ {
		err := l.Try(ctx, within, request)
		if !errors.Is(err, ErrThrottled) {
			return err
		}
		if wait := l.Pause(ctx, n); wait != nil {
			return fmt.Errorf("%w: %w", wait, err)
		}
	}
}

// Pause waits before the n-th further try, n from 1: as long as life.Backoff says, a fifth of it up
// to chance. Its error is why there should be none.
func (l *Link) Pause(ctx context.Context, n int) error {
	pause := life.Backoff(n)
	return l.life.Pause(ctx, pause-time.Duration(l.chance()*float64(pause)/5))
}

func (l *Link) chance() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rand.Float64()
}

// Crash cuts every connection at once, and lets nothing more be sent. Close is called after it.
func (l *Link) Crash() {
	l.life.Crash()
	l.transport.Close()
	l.life.End()
	l.reached(false)
}

// Close ends the subscriptions, then all that the link has started, cuts every connection, and
// returns when nothing is left.
func (l *Link) Close() error {
	l.life.Leave()
	l.life.End()
	err := l.transport.Close()
	l.life.Wait()
	l.reached(false)
	return err
}
