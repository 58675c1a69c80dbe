package conntest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
)

// Publishers is how many publish at once in a benchmark, each waiting for its answer.
const Publishers = 64

// Letter is a message of a key.
func Letter(key string, seq int64) *message.Message {
	return &message.Message{
		Flow: "telemetry-" + key, Number: seq, Source: "test", Key: key, KeySeq: seq,
		ParentNumber: -1, Data: []byte(`{"temp": 21.5}`),
	}
}

// Publish sends a sequence for each key, keys side by side, each message until it is answered well.
func Publish(t testing.TB, c conn.Broker, channel string, keys int, from, to int64) {
	t.Helper()
	var all sync.WaitGroup
	for k := range keys {
		all.Go(func() {
			for seq := from; seq < to; seq++ {
				if err := insist(t, c, channel, Letter(fmt.Sprint("device", k), seq)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func insist(t testing.TB, c conn.Broker, channel string, m *message.Message) error {
	for {
		_, err := c.Publish(t.Context(), channel, m)
		if err == nil || t.Context().Err() != nil || errors.Is(err, conn.ErrRefused) {
			return err
		}
	}
}

// EachOf runs n operations in so many goroutines, each waiting for its answer.
func EachOf(b *testing.B, workers, n int, do func(worker, i int) error) {
	b.Helper()
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := w; i < n; i += workers {
				if err := do(w, i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}
