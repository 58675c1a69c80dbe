package dialed_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn/dialed"
)

func TestUpTellsOfTheFirstAndTheLast(t *testing.T) {
	var told []string
	up := dialed.Up{Tell: func(state string) { told = append(told, state) }}
	for _, change := range []int64{1, 1, -1, 1, -1, -1, 1} {
		up.Add(change)
	}
	if diff := cmp.Diff([]string{"connect", "disconnect", "connect"}, told); diff != "" {
		t.Error(diff)
	}
	(&dialed.Up{}).Add(1) // tells nobody
}
