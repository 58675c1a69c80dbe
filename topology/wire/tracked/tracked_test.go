package tracked_test

import (
	"fmt"
	"testing"

	"github.com/faultline-sim/faultline/topology/wire/tracked"
)

func TestMembersKeepTheOrderTheyCameIn(t *testing.T) {
	var s tracked.Set[int]
	for _, n := range []int{5, 3, 9, 3, 7} {
		s.Add(n)
	}
	gone := []bool{s.Remove(9), s.Remove(9)}
	s.Add(9)
	if got, want := fmt.Sprint(s.All(), s.Len(), gone), "[5 3 7 9] 4 [true false]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
