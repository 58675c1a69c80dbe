package runner

import (
	"testing"
	"time"
)

func TestProcessorTimeSinceTheLastReading(t *testing.T) {
	at := func(seconds float64, cpu time.Duration) spent {
		return spent{int64(seconds * float64(time.Second)), cpu}
	}
	tests := []struct {
		name      string
		last, now spent
		want      int64
		known     bool
	}{
		{"usage/half a core for a second/500", at(5, time.Second), at(6, 1500*time.Millisecond),
			500, true},
		{"usage/three cores for two seconds/3000", at(5, time.Second), at(7, 7*time.Second), 3000, true},
		{"usage/nothing used/0", at(5, time.Second), at(6, time.Second), 0, true},
		{"usage/the first reading/not known", spent{}, at(6, time.Second), 0, false},
		{"usage/restarted in between/not known", at(5, 9*time.Second), at(6, time.Second), 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, known := tt.now.since(tt.last)
			if got != tt.want || known != tt.known {
				t.Errorf("%d, %t, want %d, %t", got, known, tt.want, tt.known)
			}
		})
	}
}
