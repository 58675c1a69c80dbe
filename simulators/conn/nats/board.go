package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-sim/faultline/simulators/conn/lease"
)

const (
	// bucket holds one entry a group, who holds what, and the last sign of life of each member.
	bucket = "faultline-groups"
	// inTurn is how long a member takes for one turn, so that its lease does not run out over it:
	// later than that it leaves what it still wants to the next look.
	inTurn = leaseLasts / 4
)

// board is a group's lease table as one member sees it. Who holds what is one entry of the bucket,
// written by whoever has read its latest revision, and only when it changes. So members do not get
// in each other's way, and a look is one round trip: it gives a sign of life and reads the entry.
// The answer says that the server has the sign.
type board struct {
	client *Client
	sub    *subscription
	key    string
	name   string
	parts  []string
	signs  *signs

	over   *link // the connection that all of this is used over
	store  jetstream.KeyValue
	looked time.Time       // when the last look began
	want   map[string]bool // parts to be taken (true) or released with the next write

	entry    entry
	revision uint64 // of entry, 0 before there is one
}

// entry is a group's state.
type entry struct {
	Holders map[string]string `json:"holders"` // part to member
}

// board finds the group's entry, and makes the bucket if it is the first.
func (c *Client) board(ctx context.Context, s *subscription) (*board, error) {
	key := Token(s.Channel) + "." + Token(s.Group)
	b := &board{
		client: c, sub: s, name: s.name, key: key, signs: newSigns(s.name, key),
		want: map[string]bool{}, entry: entry{map[string]string{}},
	}
	for part := range s.kept.parts {
		b.parts = append(b.parts, strconv.Itoa(part))
	}
	if err := b.open(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// open opens the bucket over the present connection, and makes it if it is not there.
func (b *board) open(ctx context.Context) error {
	l, err := b.client.link()
	if err != nil || l == b.over {
		return err
	}
	ctx, cancel := l.limit(ctx)
	defer cancel()
	store, err := l.js.KeyValue(ctx, bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		store, err = l.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket})
		if errors.Is(err, jetstream.ErrBucketExists) {
			store, err = l.js.KeyValue(ctx, bucket)
		}
	}
	if err != nil {
		return fmt.Errorf("open bucket %q: %w", bucket, err)
	}
	if err := b.signs.hear(l); err != nil {
		return fmt.Errorf("hear the group's members: %w", err)
	}
	b.over, b.store = l, store
	return nil
}

// run takes part in the group until ctx ends.
func (b *board) run(ctx context.Context) {
	defer b.signs.leave()
	b.sub.member(b).Run(ctx)
}

// Look implements lease.Table: it gives a sign of life, which renews all that the member holds.
func (b *board) Look(ctx context.Context) (lease.View, error) {
	ctx, cancel := b.patience(ctx)
	defer cancel()
	b.looked = time.Now()
	if err := b.renew(ctx); err != nil {
		return lease.View{}, err
	}
	alive := b.signs.alive()
	return lease.View{
		Parts: b.parts, Holders: b.entry.Holders,
		Members: len(alive), Rank: slices.Index(alive, b.name),
	}, nil
}

// patience is how long a look may take: a member that holds nothing has no lease that would run
// out meanwhile.
func (b *board) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	if b.sub.holds() {
		return ctx, func() {}
	}
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	stop := context.AfterFunc(b.sub.until, cancel)
	return patient, func() { stop(); cancel() }
}

func (b *board) renew(ctx context.Context) error {
	if err := b.open(ctx); err != nil {
		return err
	}
	if err := b.signs.give(); err != nil {
		return err
	}
	if len(b.want) > 0 {
		return b.change(ctx)
	}
	return b.read(ctx)
}

// Take implements lease.Table. A part that it leaves to the next look is the member's own then.
func (b *board) Take(ctx context.Context, part string) (bool, error) {
	b.want[part] = true
	if time.Since(b.looked) > inTurn {
		return false, nil
	}
	err := b.change(ctx)
	return err == nil && b.entry.Holders[part] == b.name, err
}

// Release implements lease.Table. Behind the last look nothing is left to the next one.
func (b *board) Release(ctx context.Context, part string) error {
	leaving := b.sub.until.Err() != nil
	if leaving {
		maps.DeleteFunc(b.want, func(_ string, take bool) bool { return take })
	}
	b.want[part] = false
	if time.Since(b.looked) > inTurn && !leaving {
		return nil
	}
	return b.change(ctx)
}

// change writes what the member wants of the parts. It reads the entry and begins again when
// another member was faster.
func (b *board) change(ctx context.Context) error {
	if err := b.open(ctx); err != nil {
		return err
	}
	for {
		next := b.wanted()
		if maps.Equal(next.Holders, b.entry.Holders) {
			clear(b.want)
			return nil
		}
		err := b.write(ctx, next)
		if errors.Is(err, jetstream.ErrKeyExists) {
			err = b.read(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// wanted is the entry with what the member wants and may have.
func (b *board) wanted() entry {
	next := entry{maps.Clone(b.entry.Holders)}
	for part, take := range b.want {
		switch holder := next.Holders[part]; {
		case take && holder == "":
			next.Holders[part] = b.name
		case !take && holder == b.name:
			delete(next.Holders, part)
		}
	}
	return next
}

// read reads the entry, without those who are no longer alive.
func (b *board) read(ctx context.Context) error {
	ctx, cancel := b.over.limit(ctx)
	defer cancel()
	b.entry, b.revision = entry{map[string]string{}}, 0
	found, err := b.store.Get(ctx, b.key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	b.revision = found.Revision()
	if err := json.Unmarshal(found.Value(), &b.entry); err != nil {
		return err
	}
	holders := slices.Collect(maps.Values(b.entry.Holders))
	if err := b.signs.recall(ctx, b.store, holders); err != nil {
		return err
	}
	alive := b.signs.alive()
	maps.DeleteFunc(b.entry.Holders, func(_, name string) bool {
		return !slices.Contains(alive, name)
	})
	return nil
}

func (b *board) write(ctx context.Context, next entry) error {
	ctx, cancel := b.over.limit(ctx)
	defer cancel()
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	revision := b.revision
	if revision == 0 {
		revision, err = b.store.Create(ctx, b.key, text)
	} else {
		revision, err = b.store.Update(ctx, b.key, text, revision)
	}
	if err == nil {
		b.entry, b.revision = next, revision
	}
	return err
}
