package fleet

import "sync"

// serial is a queue whose items are worked off one at a time, in order, by a goroutine that lives
// only while there are any: thousands of quiet members cost nothing. The zero value is ready.
type serial[T any] struct {
	mu     sync.Mutex
	queued []T
	active bool
}

// push queues an item, unless there are most already or the group is closed.
func (s *serial[T]) push(item T, most int, in *group, work func(T)) bool {
	s.mu.Lock()
	if most > 0 && len(s.queued) >= most {
		s.mu.Unlock()
		return false
	}
	s.queued = append(s.queued, item)
	begin := !s.active
	s.active = true
	s.mu.Unlock()
	return !begin || in.start(func() { s.drain(work) })
}

// drain works the queue off; an item stays queued until it is done.
func (s *serial[T]) drain(work func(T)) {
	for {
		s.mu.Lock()
		if len(s.queued) == 0 {
			s.queued, s.active = nil, false
			s.mu.Unlock()
			return
		}
		item := s.queued[0]
		s.mu.Unlock()
		work(item)
		s.mu.Lock()
		var none T
		s.queued[0] = none
		s.queued = s.queued[1:]
		s.mu.Unlock()
	}
}

func (s *serial[T]) size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.queued))
}
