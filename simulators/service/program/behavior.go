package program

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/ratelimiter"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology/policy"
)

// Misbehaviors are the behaviours in force at a node. The zero value is none; reading costs one
// atomic load.
type Misbehaviors struct {
	mu    sync.Mutex
	inUse atomic.Pointer[[]*misbehavior]
}

// misbehavior is one behaviour in force.
type misbehavior struct {
	simulators.Behavior
	env     *simulators.Env
	all     *Misbehaviors
	touched atomic.Int64
	limiter ratelimiter.RateLimiter[any] // quota
	crashed simulators.Tally             // crash: messages that have had theirs
	asked   simulators.Tally             // errors, slow: how often each message came by
}

// Inject puts a behaviour in force until it is healed.
func (s *Misbehaviors) Inject(
	env *simulators.Env, b simulators.Behavior,
) (simulators.Injection, error) {
	m := &misbehavior{Behavior: b, env: env, all: s}
	switch b.Kind {
	case simulators.Errors:
		if b.Status != 0 && (b.Status < 400 || b.Status > 599) {
			return nil, fmt.Errorf("inject %q: status %d is no error, 400 to 599 are", b.Name, b.Status)
		}
	case simulators.Quota:
		if b.Rate <= 0 {
			return nil, fmt.Errorf("inject %q: a quota of %v a second allows nothing", b.Name, b.Rate)
		}
		m.limiter = NewLimiter(quota(b.Rate))
	case simulators.Slow, simulators.Poison, simulators.CrashOn, simulators.Outage,
		simulators.Duplicates:
	default:
		return nil, fmt.Errorf("inject %q: a service cannot do %q", b.Name, b.Kind)
	}
	s.change(func(all []*misbehavior) []*misbehavior { return append(all, m) })
	return m, nil
}

// quota is a rate as a count in a second, or one in longer than a second.
func quota(rate float64) *policy.RateLimit {
	if rate < 1 {
		return &policy.RateLimit{Count: 1, Per: time.Duration(float64(time.Second) / rate)}
	}
	return &policy.RateLimit{Count: int(rate), Per: time.Second}
}

// Touched is the number of messages and requests the behaviour was shown to so far.
func (m *misbehavior) Touched() int64 { return m.touched.Load() }

// Heal ends the behaviour.
func (m *misbehavior) Heal() {
	m.all.change(func(all []*misbehavior) []*misbehavior {
		return slices.DeleteFunc(all, func(other *misbehavior) bool { return other == m })
	})
}

func (b *Misbehaviors) change(f func([]*misbehavior) []*misbehavior) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []*misbehavior
	if p := b.inUse.Load(); p != nil {
		all = slices.Clone(*p)
	}
	if all = f(all); len(all) == 0 {
		b.inUse.Store(nil)
		return
	}
	b.inUse.Store(&all)
}

// on are the behaviours that a replica has now.
func (b *Misbehaviors) on(replica int32) iter.Seq[*misbehavior] {
	return func(yield func(*misbehavior) bool) {
		inUse := b.inUse.Load()
		if inUse == nil {
			return
		}
		for _, one := range *inUse {
			if one.isOn(replica) && !yield(one) {
				return
			}
		}
	}
}

func (m *misbehavior) isOn(replica int32) bool {
	return m.Replicas == nil || slices.Contains(m.Replicas, int(replica))
}

// means says that the behaviour is for a message, whenever it comes by. One of no flow is meant by
// shares of all.
func (m *misbehavior) means(msg *message.Message) bool { return m.meansAt(msg, m.Name) }

// meansNow says that the behaviour is for a message this time: a service that answers some requests
// wrongly may answer the same one well when it is asked again. Which time it is for which message
// is fixed by the seed.
func (m *misbehavior) meansNow(msg *message.Message) bool {
	if m.Share == 0 || m.Share >= 1 {
		return m.means(msg)
	}
	return m.meansAt(msg, m.Name+"#"+strconv.Itoa(m.asked.Add(msg.Flow, msg.Number)))
}

func (m *misbehavior) meansAt(msg *message.Message, draw string) bool {
	if m.Flow != "" && m.Flow != msg.Flow {
		return false
	}
	share := m.Share
	if share == 0 {
		share = 1
	}
	return m.env.Chosen(draw, msg.Flow, msg.Number, share)
}

// Duplicate is how many copies too many of a message a replica publishes.
func (b *Misbehaviors) Duplicate(replica int32, m *message.Message) (extra int) {
	for one := range b.on(replica) {
		if one.Kind == simulators.Duplicates && one.means(m) {
			one.touched.Add(1)
			extra++
		}
	}
	return extra
}

// misbehave does to an item, as its attempt begins, what the service was told to do wrongly.
func (a *Actor) misbehave(ctx context.Context, _ *Handler, it *Item) error {
	for one := range a.Misbehaviors.on(a.Index) {
		if err := a.suffer(ctx, one, it); err != nil {
			return err
		}
	}
	return nil
}

func (a *Actor) suffer(ctx context.Context, b *misbehavior, it *Item) error {
	switch b.Kind {
	case simulators.Slow:
		if b.meansNow(it.Message) {
			b.touched.Add(1)
			return simulators.Wait(ctx, b.Delay)
		}
	case simulators.Poison:
		if it.InFlow() && b.means(it.Message) {
			b.touched.Add(1)
			return simulators.Refusal(simulators.ReasonPoison, nil)
		}
	case simulators.CrashOn:
		m := it.Message
		if it.InFlow() && b.means(m) && (b.crashed.Add(m.Flow, m.Number) == 1 || b.Every) {
			b.touched.Add(1)
			a.Crash()
			return context.Canceled
		}
	case simulators.Errors:
		if b.meansNow(it.Message) {
			b.touched.Add(1)
			return statusOr500(b.Status)
		}
	}
	return nil
}

// Told is the status that a behaviour wants a caller to be answered.
type Told int

// Error names the status.
func (t Told) Error() string { return fmt.Sprintf("told to answer %d", int(t)) }

func statusOr500(status int) error {
	if status == 0 {
		status = 500
	}
	f := simulators.ExplainStatus(status)
	f.Err = Told(status)
	return f
}

// TurnAway is the status that a replica answers a request before any handler sees it; 0 lets it in.
func (b *Misbehaviors) TurnAway(replica int32) int {
	for one := range b.on(replica) {
		switch {
		case one.Kind == simulators.Outage:
			one.touched.Add(1)
			return 503
		case one.Kind == simulators.Quota && !one.limiter.TryAcquirePermit():
			one.touched.Add(1)
			return 429
		}
	}
	return 0
}
