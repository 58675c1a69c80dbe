// Package tracked is a set of what is open, such as connections, that remembers in which order its
// members came: who closes them all does it in the same order each time.
//
// It serves the run step of load → plan → run → check → report and imports nothing of the project.
package tracked

import (
	"cmp"
	"maps"
	"slices"
)

// Set is a set in the order of adding. The zero value is empty and ready; it is not safe for
// concurrent use.
type Set[T comparable] struct {
	serials map[T]int64
	last    int64
}

// Add adds a member, as the last one; one that is in the set already keeps its place.
func (s *Set[T]) Add(member T) {
	if _, known := s.serials[member]; known {
		return
	}
	if s.serials == nil {
		s.serials = map[T]int64{}
	}
	s.last++
	s.serials[member] = s.last
}

// Remove takes a member out and says whether it was there.
func (s *Set[T]) Remove(member T) bool {
	_, known := s.serials[member]
	delete(s.serials, member)
	return known
}

// Len is how many members there are.
func (s *Set[T]) Len() int { return len(s.serials) }

// All are the members in the order in which they came.
func (s *Set[T]) All() []T {
	return slices.SortedFunc(maps.Keys(s.serials), func(a, b T) int {
		return cmp.Compare(s.serials[a], s.serials[b])
	})
}
