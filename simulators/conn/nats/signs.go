package nats

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// signs are the signs of life of a group's members, as one of them hears them. A sign is a value in
// the bucket, so that who comes later finds it; members of the group hear it when it is published.
// Time is told by the member's own signs: what holds up all that it hears makes nobody seem silent.
type signs struct {
	name string
	key  string // of the group; a member's own is a token longer

	mu    sync.Mutex
	over  *link // nil before the first hearing
	sub   *nats.Subscription
	heard map[string]time.Time // by member, this one included
}

// signGone is the value of a member that has left. Others are alive.
const signGone = "gone"

func newSigns(name, key string) *signs {
	return &signs{name: name, key: key, heard: map[string]time.Time{}}
}

// subject is what a sign is published to. Source: ADR-8, the layout of a key-value bucket.
func (s *signs) subject(member string) string {
	return "$KV." + bucket + "." + s.key + "." + member
}

// hear begins to hear the others over a connection. Until then nobody was silent.
func (s *signs) hear(l *link) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub, err := l.nc.Subscribe(s.subject("*"), s.note)
	if err != nil {
		return err
	}
	s.over, s.sub, s.heard = l, sub, map[string]time.Time{}
	return nil
}

func (s *signs) note(msg *nats.Msg) {
	member := msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:]
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case msg.Sub != s.sub: // of an earlier connection
	case string(msg.Data) == signGone:
		delete(s.heard, member)
	default:
		s.heard[member] = time.Now()
	}
}

// give gives a sign of life.
func (s *signs) give() error { return s.over.nc.Publish(s.subject(s.name), []byte("alive")) }

// leave ends the hearing, and tells the others. Over a connection that is lost neither works, and
// nobody needs it.
func (s *signs) leave() {
	_ = s.sub.Unsubscribe()
	_ = s.over.nc.Publish(s.subject(s.name), []byte(signGone))
}

// recall asks when those members gave their last sign that were not heard yet. The server's clock
// says how long ago that was.
func (s *signs) recall(ctx context.Context, store jetstream.KeyValue, members []string) error {
	unheard := s.unheard(members)
	if len(unheard) == 0 {
		return nil
	}
	unheard = append(unheard, s.name)
	last, failed := make([]time.Time, len(unheard)), make([]error, len(unheard))
	var all sync.WaitGroup
	for i, member := range unheard {
		all.Go(func() {
			e, err := store.Get(ctx, s.key+"."+member)
			if failed[i] = err; err == nil && string(e.Value()) != signGone {
				last[i] = e.Created()
			}
			if errors.Is(err, jetstream.ErrKeyNotFound) {
				failed[i] = nil
			}
		})
	}
	all.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	// The newest is this member's own, where the server has stored that already.
	newest := slices.MaxFunc(last, time.Time.Compare)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, member := range unheard {
		if _, heard := s.heard[member]; !heard {
			s.heard[member] = time.Now().Add(-newest.Sub(last[i]))
		}
	}
	return nil
}

func (s *signs) unheard(members []string) (some []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, member := range members {
		_, heard := s.heard[member]
		if !heard && member != s.name && !slices.Contains(some, member) {
			some = append(some, member)
		}
	}
	return some
}

// alive are the members that are not silent, in order, this one always among them.
func (s *signs) alive() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, hears := s.heard[s.name]
	alive := []string{s.name}
	for name, at := range s.heard {
		if name != s.name && !(hears && now.Sub(at) >= leaseLasts) {
			alive = append(alive, name)
		}
	}
	slices.Sort(alive)
	return alive
}
