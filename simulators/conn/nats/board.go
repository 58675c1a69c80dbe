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

// bucket holds one entry a group: who is alive and who holds what.
const bucket = "faultline-groups"

// board is a group's lease table as one member sees it. It is one entry of the bucket, written by
// whoever has read its latest revision. Times are by the members' own clocks, which must agree to
// within a fraction of the lease.
type board struct {
	client   *Client
	store    jetstream.KeyValue
	key      string
	name     string
	parts    []string
	entry    entry
	revision uint64 // of entry, 0 before there is one
}

// entry is a group's state; times are Unix nanoseconds.
type entry struct {
	Alive   map[string]int64  `json:"alive"`   // member to its last sign of life
	Holders map[string]string `json:"holders"` // part to member
}

// board finds the group's entry, and makes the bucket if it is the first.
func (c *Client) board(ctx context.Context, s *subscription) (*board, error) {
	js, err := c.stream()
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	store, err := js.KeyValue(ctx, bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		store, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket})
		if errors.Is(err, jetstream.ErrBucketExists) {
			store, err = js.KeyValue(ctx, bucket)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open bucket %q: %w", bucket, err)
	}
	b := &board{client: c, store: store, name: s.name, key: Token(s.Channel) + "." + Token(s.Group)}
	for part := range s.kept.parts {
		b.parts = append(b.parts, strconv.Itoa(part))
	}
	return b, nil
}

// Look implements lease.Table: it writes the member's sign of life, which renews all that it holds.
func (b *board) Look(ctx context.Context) (lease.View, error) {
	err := b.change(ctx, func(e *entry) bool { return true })
	if err != nil {
		return lease.View{}, err
	}
	alive := slices.Sorted(maps.Keys(b.entry.Alive))
	return lease.View{
		Parts: b.parts, Holders: b.entry.Holders,
		Members: len(alive), Rank: slices.Index(alive, b.name),
	}, nil
}

// Take implements lease.Table.
func (b *board) Take(ctx context.Context, part string) (got bool, err error) {
	err = b.change(ctx, func(e *entry) bool {
		got = e.Holders[part] == ""
		if got {
			e.Holders[part] = b.name
		}
		return got
	})
	return got && err == nil, err
}

// Release implements lease.Table. A member without parts that is leaving is forgotten by the others
// in the time of a lease.
func (b *board) Release(ctx context.Context, part string) error {
	return b.change(ctx, func(e *entry) bool {
		held := e.Holders[part] == b.name
		if held {
			delete(e.Holders, part)
		}
		return held
	})
}

// change reads the entry, drops who is no longer alive, and writes it back if alter says so. It
// begins again when another member was faster.
func (b *board) change(ctx context.Context, alter func(e *entry) bool) error {
	for {
		if err := b.read(ctx); err != nil {
			return err
		}
		b.entry.Alive[b.name] = time.Now().UnixNano()
		b.entry.forget(time.Now().Add(-leaseLasts).UnixNano())
		if !alter(&b.entry) {
			return nil
		}
		err := b.write(ctx)
		if !errors.Is(err, jetstream.ErrKeyExists) {
			return err
		}
	}
}

// forget drops members that were last alive before a time, with what they hold.
func (e *entry) forget(before int64) {
	maps.DeleteFunc(e.Alive, func(_ string, at int64) bool { return at < before })
	maps.DeleteFunc(e.Holders, func(_, name string) bool { return e.Alive[name] == 0 })
}

func (b *board) read(ctx context.Context) error {
	ctx, cancel := b.client.limit(ctx)
	defer cancel()
	b.entry = entry{Alive: map[string]int64{}, Holders: map[string]string{}}
	b.revision = 0
	found, err := b.store.Get(ctx, b.key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	b.revision = found.Revision()
	return json.Unmarshal(found.Value(), &b.entry)
}

func (b *board) write(ctx context.Context) error {
	ctx, cancel := b.client.limit(ctx)
	defer cancel()
	text, err := json.Marshal(b.entry)
	if err != nil {
		return err
	}
	if b.revision == 0 {
		_, err = b.store.Create(ctx, b.key, text)
		return err
	}
	_, err = b.store.Update(ctx, b.key, text, b.revision)
	return err
}
