package process

import (
	"time"

	"github.com/faultline-sim/faultline/topology/policy"
)

// revival is the pause before a program that died by itself is started again.
var revival = policy.Backoff{Initial: 100 * time.Millisecond, Factor: 2, Max: 5 * time.Second}

// reviveLater starts a replica that died by itself again, after a pause, until it is ready, or
// somebody else has done something to it.
func (n *Node) reviveLater(s *slot, dead *replica) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	n.revivals.Go(func() { n.revive(s, dead) })
}

func (n *Node) revive(s *slot, dead *replica) {
	for {
		pause, _ := revival.Pause(int(s.deaths.Add(1)))
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-n.life.Done():
			timer.Stop()
			return
		}
		again, done := n.reviveOnce(s, dead)
		if done {
			return
		}
		dead = again
	}
}

// reviveOnce is one try. It is done when the replica is ready, or is not what it was.
func (n *Node) reviveOnce(s *slot, dead *replica) (again *replica, done bool) {
	if s.take(n.life) != nil {
		return nil, true
	}
	defer s.release()
	if s.running.Load() != dead || n.isClosed() {
		return nil, true
	}
	if dead != nil {
		dead.close()
	}
	return nil, n.begin(n.life, s) == nil
}
