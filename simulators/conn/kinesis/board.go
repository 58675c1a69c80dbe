package kinesis

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/faultline-sim/faultline/simulators/conn/lease"
)

const (
	// lookEvery is how often a member looks at its group's lease table, and leaseLasts how long one
	// counts as alive whose sign of life has not changed: what a crash costs.
	lookEvery  = 400 * time.Millisecond
	leaseLasts = 1500 * time.Millisecond
	// forgetAfter is when the row of a member that is gone is removed.
	forgetAfter = 20 * leaseLasts
)

// board is one member's sight of its group's lease table. It is used by one goroutine.
//
// Clocks of different members are never compared: another is alive while this one sees its counter
// move, and for a lease's time after. A member's own leases run out for itself, by package lease,
// before they do for the others.
type board struct {
	client *Client
	leases *leases
	stream string
	name   string // this member

	beats  int64
	looked time.Time // when the last look began
	shards []types.Shard
	rows   map[string]row   // shards, by id, as last seen
	held   map[string]row   // those of them that are this member's, as they were taken
	left   map[string]row   // those that were, with how far they were settled, until that is written
	sights map[string]sight // other members, by name
}

var _ lease.Table = (*board)(nil)

// sight is what was seen of a member last, and since when it is like that.
type sight struct {
	counter int64
	since   time.Time
}

func newBoard(c *Client, l *leases, stream, name string) *board {
	return &board{
		client: c, leases: l, stream: stream, name: name,
		held: map[string]row{}, left: map[string]row{}, sights: map[string]sight{},
	}
}

// Look gives a sign of life and tells how things stand.
func (b *board) Look(ctx context.Context) (lease.View, error) {
	b.beats++
	b.looked = time.Now()
	if err := b.leases.beat(ctx, b.name, b.beats); err != nil {
		return lease.View{}, err
	}
	rows, err := b.leases.all(ctx)
	if err != nil {
		return lease.View{}, err
	}
	members := b.observe(rows, time.Now())
	ended := map[string]bool{}
	for id, r := range b.rows {
		ended[id] = r.checkpoint == shardEnd
	}
	if outdated(b.shards, ended) {
		if b.shards, err = b.client.shards(ctx, b.stream); err != nil {
			return lease.View{}, err
		}
	}
	b.giveBack(ctx)
	return lease.View{
		Parts: readable(b.shards, ended), Holders: b.holders(),
		Members: len(members), Rank: slices.Index(members, b.name),
	}, nil
}

// observe notes the rows and returns the names of the members that are alive, sorted. One that is
// named as a holder counts too: a table is not read in one instant.
func (b *board) observe(rows []row, now time.Time) (alive []string) {
	b.rows = make(map[string]row, len(rows))
	before := b.sights
	b.sights = make(map[string]sight, len(before))
	note := func(name string, counter int64) {
		s, known := before[name]
		if !known || s.counter < counter {
			s = sight{counter, now}
		}
		b.sights[name] = s
	}
	for _, r := range rows {
		if name, ok := r.member(); ok {
			note(name, r.counter)
			continue
		}
		b.rows[r.key] = r
	}
	for _, r := range b.rows {
		if _, known := b.sights[r.owner]; !known && r.owner != "" {
			note(r.owner, 0)
		}
	}
	b.sights[b.name] = sight{b.beats, now}
	for name, s := range b.sights {
		if now.Sub(s.since) < leaseLasts {
			alive = append(alive, name)
		}
	}
	slices.Sort(alive)
	return alive
}

// holders are those that hold a shard, among the living.
func (b *board) holders() map[string]string {
	holders := map[string]string{}
	now := time.Now()
	for id, r := range b.rows {
		_, held := b.held[id]
		switch {
		case r.owner == "", r.owner == b.name && !held:
		case now.Sub(b.sights[r.owner].since) < leaseLasts:
			holders[id] = r.owner
		}
	}
	return holders
}

// giveBack releases what the table says to be this member's and is not: the answer to a take or a
// release was lost, or the table was out of reach until the lease had run out and nobody has taken
// the shard since. It also removes the row of a member that has long been gone. Errors do not
// matter: the next look finds the same.
func (b *board) giveBack(ctx context.Context) {
	for id, r := range b.rows {
		if _, held := b.held[id]; held || r.owner != b.name {
			delete(b.left, id)
			continue
		}
		if left, ok := b.left[id]; ok && left.counter == r.counter {
			r = left
		}
		if b.leases.release(ctx, r) == nil {
			r.owner = ""
			b.rows[id] = r
		}
	}
	for name, s := range b.sights {
		if s.counter != 0 && time.Since(s.since) > forgetAfter {
			_ = b.leases.forget(ctx, name, s.counter)
		}
	}
}

// Take tries to get a shard.
func (b *board) Take(ctx context.Context, part string) (bool, error) {
	seen := b.rows[part]
	seen.key = part
	now, err := b.leases.take(ctx, seen, b.name)
	if err != nil || now == nil {
		return false, err
	}
	b.held[part], b.rows[part] = *now, *now
	return true, nil
}

// drop notes that a shard is this member's no longer and how far it was settled, before its
// release, or without one when it was lost.
func (b *board) drop(part, checkpoint string) {
	r := b.held[part]
	r.checkpoint = checkpoint
	b.left[part] = r
	delete(b.held, part)
}

// Release gives a shard up.
func (b *board) Release(ctx context.Context, part string) error {
	err := b.leases.release(ctx, b.left[part])
	if err == nil {
		delete(b.left, part)
	}
	return err
}

// leave removes this member's row, so that the others need not wait for it to run out.
func (b *board) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	_ = b.leases.forget(ctx, b.name, 0) // its last beat may have been cut off
}
