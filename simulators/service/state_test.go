package service_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestAwaitInHand waits for a replica's work, which comes after a second.
func TestAwaitInHand(t *testing.T) {
	const handler = `
        subscribe: in/jobs/:id
        do: [{work: {p50: 1s}}]`
	tests := map[string]struct {
		replica, atLeast int
		want             time.Duration // 0 is never
	}{
		"any replica/one message/as it is taken up": {-1, 1, time.Second},
		"replica 0/one message/as it is taken up":   {0, 1, time.Second},
		"replica 1/which is not there/never":        {1, 1, 0},
		"any replica/two at once/never":             {-1, 2, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, handlerTopology(handler), nil)
				defer r.close()
				time.AfterFunc(time.Second, func() { r.bus.Send("jobs/d-1", r.job(0, `{}`)) })
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				begun := time.Now()
				err := r.service.AwaitInHand(ctx, tt.replica, tt.atLeast)
				switch took := time.Since(begun); {
				case tt.want == 0 && !errors.Is(err, context.DeadlineExceeded):
					t.Errorf("returned %v after %v, want the deadline", err, took)
				case tt.want > 0 && (err != nil || took != tt.want):
					t.Errorf("returned %v after %v, want %v", err, took, tt.want)
				}
			})
		})
	}
}
