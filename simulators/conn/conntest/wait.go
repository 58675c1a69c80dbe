package conntest

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
)

// Patience bounds every wait; nothing that works takes as long.
const Patience = 40 * time.Second

// ending is how long a goroutine that has nothing more to do may take to be gone.
const ending = 5 * time.Second

// Eventually asks again until an answer is right. The pause keeps it from being a load.
func Eventually(t testing.TB, what string, right func() (any, bool)) {
	t.Helper()
	patient := time.After(Patience)
	for {
		got, ok := right()
		if ok {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-patient:
			t.Fatalf("waited %v for %s, last seen: %v", Patience, what, got)
		}
	}
}

// Receive is the next of what a channel of Go carries.
func Receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(Patience):
		t.Fatalf("nothing came within %v", Patience)
	}
	panic("not reached")
}

// DepthIs waits until a group has so many messages before it.
func DepthIs(t testing.TB, c conn.Broker, channel, group string, want int64) {
	t.Helper()
	Eventually(t, fmt.Sprint("a depth of ", want), func() (any, bool) {
		n, err := c.Depth(t.Context(), channel, group)
		return fmt.Sprint(n, " ", err), err == nil && n == want
	})
}

// Audited is how often each message is found in a channel.
func Audited(t testing.TB, c conn.Broker, channel string) map[string]int {
	t.Helper()
	found := map[string]int{}
	err := c.Audit(t.Context(), channel, func(m *message.Message) error {
		found[m.ID()]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// NoneLeft fails the test when there are more goroutines than before once those that have ended
// are gone. What a wire held back is carried out by the engine behind the heal, and ends with that.
func NoneLeft(t testing.TB, before int) {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < ending; time.Sleep(time.Millisecond) {
		if runtime.NumGoroutine() <= before {
			return
		}
	}
	buf := make([]byte, 1<<20)
	t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(),
		buf[:runtime.Stack(buf, true)])
}
