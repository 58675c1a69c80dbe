package amqp

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/faultline-sim/faultline/simulators/conn/lease"
)

// self is this member among the holders of parts; other is anybody else.
const (
	self  = "self"
	other = "other"
)

// board is the lease table of a group whose channel has parts. It stands in the broker's own
// accounts: each part has a lock, an empty queue that one member consumes from exclusively, on the
// same AMQP channel as from the part itself, so that the broker takes both away together. How many
// members there are says the number of consumers of their queue.
//
// Who has which part nobody can see, nor who is the how manieth. So where the parts do not come out
// even, members with their whole share consume from one more queue: as long as fewer do than there
// are members, nobody takes more than that, and who has more gives it up, by a coin, when nothing
// is free.
type board struct {
	desk  *desk
	parts []string
	taps  map[string]*tap // what is held

	enough bool // this member has its whole share, and consumes from the queue that says so
	full   bool // it has as much as it may, and so had everyone enough when it last looked
}

func newBoard(d *desk) *board {
	b := &board{desk: d, taps: map[string]*tap{}}
	for i := range d.layout.parts {
		b.parts = append(b.parts, strconv.Itoa(i))
	}
	return b
}

// Look asks how many consume from each of the queues, all at once: one round trip. Who wants
// nothing more and need give nothing up does not ask for locks, and takes all parts for held.
func (b *board) Look(ctx context.Context) (lease.View, error) {
	if !open(b.desk.gone) {
		return lease.View{}, errLost
	}
	channel, group := b.desk.sub.Channel, b.desk.sub.Group
	members, enough := membersQueue(channel, group), enoughQueue(channel, group)
	v := lease.View{Parts: b.parts, Holders: map[string]string{}}
	queues, locks := []string{members, enough}, map[string]string{}
	for _, part := range b.parts {
		switch t := b.taps[part]; {
		case t != nil && open(t.gone):
			v.Holders[part] = self
		case t == nil && b.full:
			v.Holders[part] = other
		case t == nil:
			locks[part] = lockQueue(channel, group, part)
			queues = append(queues, locks[part])
		}
	}
	found, err := b.consumers(ctx, queues)
	if err != nil {
		return v, err
	}
	for part, lock := range locks {
		if found[lock] > 0 {
			v.Holders[part] = other
		}
	}
	v.Members = max(1, found[members])
	b.rank(&v, found[enough])
	return v, b.say(ctx, enough, len(b.taps) >= len(b.parts)/v.Members)
}

// open says that a channel has not been closed.
func open(c <-chan struct{}) bool {
	select {
	case <-c:
		return false
	default:
		return true
	}
}

// rank chooses the place that gives the member as much as it should have now: below the remainder
// one part more than its whole share.
func (b *board) rank(v *lease.View, enough int) {
	whole, rest := len(v.Parts)/v.Members, len(v.Parts)%v.Members
	b.full = enough >= v.Members && len(b.taps) >= whole+min(rest, 1)
	v.Rank = -1
	if rest == 0 || enough >= v.Members {
		return
	}
	more := len(b.taps) > whole
	if !more || len(v.Holders) == len(v.Parts) && b.desk.sub.client.coin() {
		v.Rank = rest
	}
}

// coin falls on either side.
func (c *Client) coin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rand.IntN(2) == 0
}

// consumers are how many consume from each queue.
func (b *board) consumers(ctx context.Context, queues []string) (map[string]int, error) {
	var mu sync.Mutex
	found := map[string]int{}
	var errs []error
	var all sync.WaitGroup
	for _, queue := range queues {
		all.Go(func() {
			n := 0
			err := b.desk.session.do(ctx, func(ch *amqp.Channel) error {
				q, err := declareSmall(ch, queue)
				n = q.Consumers
				return err
			})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			found[queue] = n
		})
	}
	all.Wait()
	return found, errors.Join(errs...)
}

// say tells the others whether this member has its whole share.
func (b *board) say(ctx context.Context, queue string, enough bool) error {
	if enough == b.enough {
		return nil
	}
	const tag = "enough"
	_, err := obtain(ctx, b.desk.sub.client, func() (struct{}, error) {
		if !enough {
			return struct{}{}, b.desk.ch.Cancel(tag, false)
		}
		_, err := b.desk.ch.Consume(queue, tag, true, false, false, false, nil)
		return struct{}{}, err
	}, func(struct{}) {})
	if err == nil {
		b.enough = enough
	}
	return err
}

// Take gets the part's lock, and then consumes from the part.
func (b *board) Take(ctx context.Context, part string) (bool, error) {
	i := slices.Index(b.parts, part)
	t, err := b.desk.locked(ctx, i, lockQueue(b.desk.sub.Channel, b.desk.sub.Group, part))
	if answered(err, amqp.AccessRefused) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	b.taps[part] = t
	return true, nil
}

// Release has nothing to do: the lock went with what it was for.
func (b *board) Release(context.Context, string) error { return nil }

// give ends the taking from a part.
func (b *board) give(ctx context.Context, part string) {
	b.taps[part].end(ctx)
	delete(b.taps, part)
}
