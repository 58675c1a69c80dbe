package service

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/service/program"
)

// restartAfter is how long a replica that crashed by a behaviour stays down before it is started
// again, as an orchestrator would.
const restartAfter = 250 * time.Millisecond

// slot is the place of one replica, whether it runs or not. Who holds the turn may change that;
// a crash does not wait for the turn to take effect, only to clear up.
type slot struct {
	index   int
	turn    chan struct{}
	replica atomic.Pointer[replica] // nil while down
	gate    program.Gate
}

func newSlot(index int) *slot { return &slot{index: index, turn: make(chan struct{}, 1)} }

func (s *slot) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slot) release() { <-s.turn }

// StartReplica starts a stopped or crashed replica and returns when it is ready; one that runs is
// left alone.
func (s *Service) StartReplica(ctx context.Context, replica int) error {
	slot, err := s.slot(replica)
	if err != nil {
		return err
	}
	return s.start(ctx, slot)
}

// StopReplica lets the work in hand finish; deliveries that are not begun go back. Past the
// context's deadline the work in hand is abandoned.
func (s *Service) StopReplica(ctx context.Context, replica int) error {
	slot, err := s.slot(replica)
	if err != nil {
		return err
	}
	return s.stop(ctx, slot)
}

// CrashReplica drops all connections and the work in hand at once, as kill -9 would.
func (s *Service) CrashReplica(ctx context.Context, replica int) error {
	slot, err := s.slot(replica)
	if err != nil {
		return err
	}
	return s.crash(ctx, slot)
}

// PauseReplica freezes the handlers of a replica until resume is called; connections stay.
func (s *Service) PauseReplica(replica int) (resume func(), err error) {
	slot, err := s.slot(replica)
	if err != nil {
		return nil, err
	}
	resume, ok := slot.gate.Close()
	if !ok {
		return nil, fmt.Errorf("pause %s[%d]: it is paused already", s.node.Name, replica)
	}
	return resume, nil
}

func (s *Service) start(ctx context.Context, slot *slot) error {
	if err := slot.take(ctx); err != nil {
		return fmt.Errorf("start %s[%d]: %w", s.node.Name, slot.index, err)
	}
	defer slot.release()
	if s.ctx.Err() != nil {
		return fmt.Errorf("start %s[%d]: %w", s.node.Name, slot.index, ErrClosed)
	}
	if slot.replica.Load() != nil {
		return nil
	}
	r := newReplica(s, slot)
	slot.replica.Store(r)
	if err := r.start(ctx); err != nil {
		r.crash()
		r.bury()
		slot.replica.Store(nil)
		return fmt.Errorf("start %s[%d]: %w", s.node.Name, slot.index, err)
	}
	return nil
}

func (s *Service) stop(ctx context.Context, slot *slot) error {
	if err := slot.take(ctx); err != nil {
		return fmt.Errorf("stop %s[%d]: %w", s.node.Name, slot.index, err)
	}
	defer slot.release()
	r := slot.replica.Load()
	if r == nil {
		return nil
	}
	err := r.stop(ctx)
	slot.replica.Store(nil)
	if err != nil {
		return fmt.Errorf("stop %s[%d]: %w", s.node.Name, slot.index, err)
	}
	return nil
}

func (s *Service) crash(ctx context.Context, slot *slot) error {
	if r := slot.replica.Load(); r != nil {
		r.crash()
	}
	if err := slot.take(ctx); err != nil {
		return fmt.Errorf("crash %s[%d]: %w", s.node.Name, slot.index, err)
	}
	defer slot.release()
	s.clear(slot)
	return nil
}

// end is a crash that waits for everything to be gone.
func (s *Service) end(slot *slot) {
	if r := slot.replica.Load(); r != nil {
		r.abandon()
	}
	slot.turn <- struct{}{}
	defer slot.release()
	if r := slot.replica.Load(); r != nil {
		r.abandon()
		r.bury()
		slot.replica.Store(nil)
	}
}

// clear buries a crashed replica, if it is still there.
func (s *Service) clear(slot *slot) {
	if r := slot.replica.Load(); r != nil {
		r.crash()
		r.bury()
		slot.replica.Store(nil)
	}
}

// crashed is a crash by behaviour: the replica goes at once and comes back after a while.
func (s *Service) crashed(r *replica) {
	if s.ctx.Err() != nil {
		return
	}
	r.crash()
	s.background.Go(func() {
		err := s.crash(s.ctx, r.slot)
		if err == nil {
			err = simulators.Wait(s.ctx, restartAfter)
		}
		for err == nil && s.mine(r.slot) {
			if err = s.start(s.ctx, r.slot); err == nil || errors.Is(err, ErrClosed) {
				return
			}
			err = simulators.Wait(s.ctx, restartAfter)
		}
	})
}

// mine says that a slot is still one of the service's.
func (s *Service) mine(slot *slot) bool {
	found, err := s.slot(slot.index)
	return err == nil && found == slot
}
