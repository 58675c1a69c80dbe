package lane_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/lane"
	"github.com/faultline-sim/faultline/simulators/conn/life"
)

// service answers a request after a second; its requests are what it was sent.
type service struct{ requests [][]string }

func (s *service) send(batch []*lane.Parcel[string]) {
	var all []string
	for _, p := range batch {
		all = append(all, p.Content)
	}
	s.requests = append(s.requests, all)
	time.Sleep(time.Second) // in a bubble's time
	for i, p := range batch {
		p.Settle(conn.Receipt{Offset: int64(i)}, nil)
	}
}

func TestPut(t *testing.T) {
	for name, c := range map[string]struct {
		sizes map[string]int
		want  [][]string
	}{
		"put/some while one is on its way/together": {nil,
			[][]string{{"first"}, {"a", "b", "c"}, {"d"}}},
		"put/more than fits/in the next": {map[string]int{"b": 9},
			[][]string{{"first"}, {"a"}, {"b"}, {"c", "d"}}},
		"put/too large for any/alone": {map[string]int{"a": 99},
			[][]string{{"first"}, {"a"}, {"b", "c", "d"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, alive := &service{}, life.New()
				l := lane.New(lane.Options[string]{Life: alive, Most: 3, MostBytes: 9, Send: s.send})
				var all sync.WaitGroup
				for _, content := range []string{"first", "a", "b", "c", "d"} {
					all.Go(func() {
						if _, err := l.Put(t.Context(), content, max(1, c.sizes[content])); err != nil {
							t.Error(err)
						}
					})
					synctest.Wait()
				}
				all.Wait()
				if diff := cmp.Diff(c.want, s.requests); diff != "" {
					t.Error(diff)
				}
				alive.End()
				alive.Wait()
			})
		})
	}
}

func TestPutThatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, alive := &service{}, life.New()
		l := lane.New(lane.Options[string]{Life: alive, Most: 3, MostBytes: 9, Send: s.send})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var sent, waiting error
		var all sync.WaitGroup
		all.Go(func() { _, sent = l.Put(ctx, "sent", 1) })
		synctest.Wait()
		all.Go(func() { _, waiting = l.Put(ctx, "waiting", 1) })
		all.Wait()
		if !errors.Is(sent, conn.ErrUnknown) || !errors.Is(sent, context.DeadlineExceeded) {
			t.Errorf("given up/on its way/got %v", sent)
		}
		if errors.Is(waiting, conn.ErrUnknown) || !errors.Is(waiting, context.DeadlineExceeded) {
			t.Errorf("given up/waiting/got %v", waiting)
		}
		alive.Leave()
		alive.End()
		alive.Wait()
		if _, err := l.Put(t.Context(), "late", 1); !errors.Is(err, life.ErrClosed) {
			t.Errorf("put/client is closed/got %v", err)
		}
		if diff := cmp.Diff([][]string{{"sent"}}, s.requests); diff != "" {
			t.Error(diff)
		}
	})
}
