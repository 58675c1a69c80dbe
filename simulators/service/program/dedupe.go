package program

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
)

// reasonDuplicate marks the acknowledgement of a message that was dropped as known.
const reasonDuplicate = "duplicate"

// memory is what one replica remembers of one handler's messages for dedupe; a crash forgets it.
// The zero value is ready.
type memory struct {
	mu    sync.Mutex
	until map[asked]time.Time
	order []asked // by time of being remembered, for forgetting
}

func (m *memory) knows(key asked, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return now.Before(m.until[key])
}

func (m *memory) keep(key asked, now time.Time, window time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.until == nil {
		m.until = map[asked]time.Time{}
	}
	for len(m.order) > 0 && !now.Before(m.until[m.order[0]]) {
		delete(m.until, m.order[0])
		m.order = m.order[1:]
	}
	if _, ok := m.until[key]; !ok {
		m.order = append(m.order, key)
		m.until[key] = now.Add(window)
	}
}

// known says that the handler has done this message before, as its dedupe remembers.
func (a *Actor) known(ctx context.Context, h *Handler, it *Item) (bool, error) {
	d := h.Policy.Dedupe
	if d == nil || !it.InFlow() {
		return false, nil
	}
	if d.In == "" {
		return a.memories[h.guard].knows(asked{it.Message.Flow, it.Message.Number}, time.Now()), nil
	}
	_, err := a.Stores[d.In].Get(ctx, h.known, it.Message.ID())
	if errors.Is(err, conn.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// remember notes that the handler has done this message.
func (a *Actor) remember(ctx context.Context, h *Handler, it *Item) error {
	d := h.Policy.Dedupe
	if d == nil || !it.InFlow() {
		return nil
	}
	if d.In == "" {
		a.memories[h.guard].keep(asked{it.Message.Flow, it.Message.Number}, time.Now(), d.Window)
		return nil
	}
	return a.Stores[d.In].Put(ctx, h.known, []*message.Message{it.Message})
}
