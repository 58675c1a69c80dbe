// Package lease shares the parts of a channel (shards, queues, subjects) among the members of a
// consumer group, each part with one member at a time, where the broker does not do that itself.
//
// It is used in the run step of load → plan → run → check → report, by the clients of such brokers.
// It promises that members end with equal shares, that a part is given up only after its holder has
// stopped taking from it, and that a member that hears nothing for its lease's time lets go of
// everything. It imports no client library.
//
// Source: the lease table of the Amazon Kinesis Client Library, without its coordinator.
package lease

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// Table is where the leases of one group stand. It is used by one goroutine.
type Table interface {
	// Look gives a sign of life, renews what the member holds, and tells how things stand.
	Look(ctx context.Context) (View, error)
	// Take tries to get a part that nobody holds; false when another was faster.
	Take(ctx context.Context, part string) (bool, error)
	// Release gives a part up.
	Release(ctx context.Context, part string) error
}

// View is how a group stands now.
type View struct {
	Parts []string // those that may be held now
	// Holders are the members that hold a part, by part. Who holds it by a lease that has run out is
	// not among them.
	Holders map[string]string
	Members int // alive, this one included
	Rank    int // this one's place among them, from 0; below 0 where it is not known
}

// Options are what a Member is made from. All but Settled are needed.
type Options struct {
	Name  string // this member, as Holders says it
	Table Table
	Every time.Duration // between two looks
	Lasts time.Duration // how long a lease is good without a look that worked
	// Begin starts to take from a part; End stops, and returns when nothing more is taken from it
	// and, within ctx, what was taken is settled.
	Begin func(part string)
	End   func(ctx context.Context, part string)
	// Settled is told once, when the first look has worked and its parts were begun; nil is allowed.
	Settled func()
	// Grace is how long what is given up at a time may wait for what is in hand.
	Grace time.Duration
}

// Member takes part in a group while Run runs.
type Member struct {
	opt  Options
	held map[string]bool
	seen time.Time // of the last look that worked
	once sync.Once
}

// New is a member that holds nothing.
func New(opt Options) *Member {
	return &Member{opt: opt, held: map[string]bool{}}
}

// Run takes part until ctx ends, then ends and releases all that it holds. The releases have as
// long as a lease lasts.
func (m *Member) Run(ctx context.Context) {
	tick := time.NewTicker(m.opt.Every)
	defer tick.Stop()
	m.seen = time.Now()
	for ctx.Err() == nil {
		m.turn(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	m.leave(context.WithoutCancel(ctx))
}

func (m *Member) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, m.opt.Lasts)
	defer cancel()
	grace, end := context.WithTimeout(ctx, m.opt.Grace)
	defer end()
	for _, part := range m.sorted() {
		m.giveUp(ctx, grace, part)
	}
}

func (m *Member) turn(ctx context.Context) {
	looked := time.Now()
	v, err := m.look(ctx)
	if err != nil {
		if m.remaining() <= 0 {
			m.drop(ctx, m.sorted())
		}
		return
	}
	m.seen = looked
	var lost []string
	for _, part := range m.sorted() {
		if v.Holders[part] != m.opt.Name {
			lost = append(lost, part)
		}
	}
	m.drop(ctx, lost)
	m.balance(ctx, v)
	if ctx.Err() == nil && m.opt.Settled != nil {
		m.once.Do(m.opt.Settled)
	}
}

// remaining is how long what is held may still be used if no look works: until a turn before the others
// see the lease run out.
func (m *Member) remaining() time.Duration {
	return m.opt.Lasts - m.opt.Every - time.Since(m.seen)
}

func (m *Member) look(ctx context.Context) (View, error) {
	ctx, cancel := context.WithTimeout(ctx, max(m.remaining(), m.opt.Every))
	defer cancel()
	return m.opt.Table.Look(ctx)
}

// drop ends parts that are somebody else's by now: there is nothing to wait for.
func (m *Member) drop(ctx context.Context, parts []string) {
	if len(parts) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	for _, part := range parts {
		delete(m.held, part)
		m.opt.End(ctx, part)
	}
}

// balance gives up what is above the member's share, or takes what is free below it.
func (m *Member) balance(ctx context.Context, v View) {
	for _, part := range m.left(v) {
		m.begin(part)
	}
	fair := v.share()
	held := m.sorted()
	grace, cancel := context.WithTimeout(ctx, m.opt.Grace) // for all of them: leases run meanwhile
	defer cancel()
	for len(held) > fair {
		m.giveUp(ctx, grace, held[len(held)-1])
		held = held[:len(held)-1]
	}
	for _, part := range v.free() {
		if len(m.held) >= fair || ctx.Err() != nil {
			return
		}
		if got, err := m.opt.Table.Take(ctx, part); err == nil && got {
			m.begin(part)
		}
	}
}

func (m *Member) begin(part string) {
	m.held[part] = true
	m.opt.Begin(part)
}

// left are the parts that the member let go of while it heard nothing, and that nobody has taken
// since: they are still its own.
func (m *Member) left(v View) []string {
	var own []string
	for part, holder := range v.Holders {
		if holder == m.opt.Name && !m.held[part] {
			own = append(own, part)
		}
	}
	slices.Sort(own)
	return own
}

func (m *Member) giveUp(ctx, grace context.Context, part string) {
	m.opt.End(grace, part)
	delete(m.held, part)
	_ = m.opt.Table.Release(ctx, part) // else its lease runs out
}

func (m *Member) sorted() []string {
	held := make([]string, 0, len(m.held))
	for part := range m.held {
		held = append(held, part)
	}
	slices.Sort(held)
	return held
}

// share is how many parts the member should hold: those with a low rank take the remainder, and
// where ranks are not known everyone may.
func (v View) share() int {
	members := max(1, v.Members)
	whole, rest := len(v.Parts)/members, len(v.Parts)%members
	if rest > 0 && (v.Rank < 0 || v.Rank < rest) {
		whole++
	}
	return whole
}

// free are the parts that nobody holds, beginning at a place of the member's own, so that those who
// look at the same time do not want the same one.
func (v View) free() []string {
	parts := slices.DeleteFunc(slices.Clone(v.Parts), func(p string) bool { return v.Holders[p] != "" })
	slices.SortFunc(parts, cmp.Compare)
	if n := len(parts); n > 0 && v.Members > 0 {
		at := max(0, v.Rank) * n / v.Members % n
		parts = append(parts[at:], parts[:at]...)
	}
	return parts
}
