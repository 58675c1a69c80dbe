package service_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/message"
)

const overRetryChannel = `
        subscribe: in/jobs/:id
        dead_letter: {attempts: 3, channel: out/dead}
        retry: {attempts: 3, backoff: {initial: 100ms, factor: 2}, channel: in/again}
        do: [{publish: out/done}]`

func TestRetryChannel(t *testing.T) {
	play(t, map[string]script{
		"retry channel/fails twice/each attempt a delivery of its own": {
			handler: overRetryChannel,
			play:    one("done", 2, time.Second),
			want: []string{
				"0s receive job-0",
				"0s publish unknown publish out/done no_answer #1 job-0",
				"0s attempt unknown no_answer #1 job-0",
				"0s publish ok #1 job-0",
				"0s ack ok job-0",
				"100ms receive job-0",
				"100ms publish unknown publish out/done no_answer #1 job-0",
				"100ms attempt unknown no_answer #2 job-0",
				"100ms publish ok #1 job-0",
				"100ms ack ok job-0",
				"300ms receive job-0",
				"300ms publish ok publish out/done #1 job-0",
				"300ms attempt ok #3 job-0",
				"300ms ack ok job-0",
			},
		},
		"retry channel/later message/goes past it": {
			handler: overRetryChannel,
			play: func(r *rig) {
				r.failing("done", 1, errDown)
				r.send(0, `{}`)
				r.send(1, `{}`)
				time.Sleep(time.Second)
			},
			want: []string{
				"0s receive job-0",
				"0s publish unknown publish out/done no_answer #1 job-0",
				"0s attempt unknown no_answer #1 job-0",
				"0s publish ok #1 job-0",
				"0s ack ok job-0",
				"0s receive job-1",
				"0s publish ok publish out/done #1 job-1",
				"0s attempt ok #1 job-1",
				"0s ack ok job-1",
				"100ms receive job-0",
				"100ms publish ok publish out/done #1 job-0",
				"100ms attempt ok #2 job-0",
				"100ms ack ok job-0",
			},
		},
		"retry channel/the channel is down/the delivery is kept until it is up": {
			handler: overRetryChannel,
			play: func(r *rig) {
				refused := map[string]int{"done": 1, "again": 1}
				var mu sync.Mutex
				r.bus.Answer = func(_ context.Context, to string, _ *message.Message) error {
					mu.Lock()
					defer mu.Unlock()
					if refused[to]--; refused[to] >= 0 {
						return errDown
					}
					return nil
				}
				r.send(0, `{}`)
				time.Sleep(time.Second)
			},
			want: []string{
				"0s receive job-0",
				"0s publish unknown publish out/done no_answer #1 job-0",
				"0s attempt unknown no_answer #1 job-0",
				"0s publish unknown no_answer #1 job-0",
				"41ms publish ok #2 job-0",
				"41ms ack ok job-0",
				"100ms receive job-0",
				"100ms publish ok publish out/done #1 job-0",
				"100ms attempt ok #2 job-0",
				"100ms ack ok job-0",
			},
		},
		"retry channel/crash while it waits/the count goes on": {
			handler: overRetryChannel,
			play: func(r *rig) {
				r.failing("done", 2, errDown)
				r.send(0, `{}`)
				if err := r.service.CrashReplica(r.t.Context(), 0); err != nil {
					r.t.Error(err)
				}
				if err := r.service.StartReplica(r.t.Context(), 0); err != nil {
					r.t.Error(err)
				}
				for _, m := range r.bus.Published("again") {
					r.bus.Send("again", m) // what was not acknowledged comes again
				}
				time.Sleep(time.Second)
			},
			want: []string{
				"0s receive job-0",
				"0s publish unknown publish out/done no_answer #1 job-0",
				"0s attempt unknown no_answer #1 job-0",
				"0s publish ok #1 job-0",
				"0s ack ok job-0",
				"100ms receive job-0",
				"100ms publish unknown publish out/done no_answer #1 job-0",
				"100ms attempt unknown no_answer #2 job-0",
				"100ms publish ok #1 job-0",
				"100ms ack ok job-0",
				"300ms receive job-0",
				"300ms publish ok publish out/done #1 job-0",
				"300ms attempt ok #3 job-0",
				"300ms ack ok job-0",
			},
		},
	})
}

// What stands in a dead-letter channel tells of the whole way, and what is passed on of none of it.
func TestRetryChannelHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, handlerTopology(overRetryChannel), nil)
		r.failing("done", 3, errDown)
		start := time.Now().UTC()
		r.send(3, `{}`)
		time.Sleep(time.Second)
		dead := r.bus.Published("dead")
		if len(dead) != 1 {
			t.Fatalf("%d messages in the dead-letter channel, want 1", len(dead))
		}
		want := map[string]string{
			message.HeaderReason: "no_answer", message.HeaderAttempts: "3",
			message.HeaderOrigin:       "in/jobs/d-1",
			message.HeaderFirstFailure: start.Format(time.RFC3339Nano),
			message.HeaderLastFailure:  start.Add(300 * time.Millisecond).Format(time.RFC3339Nano),
			message.HeaderTrace:        dead[0].Headers[message.HeaderTrace],
		}
		if diff := cmp.Diff(want, dead[0].Headers); diff != "" {
			t.Errorf("headers (-want +got):\n%s", diff)
		}
		r.failing("done", 1, errDown)
		r.send(4, `{}`)
		time.Sleep(time.Second)
		done := r.bus.Published("done")
		if len(done) != 1 || done[0].Attempt != 0 || len(done[0].Headers) != 0 {
			t.Errorf("passed on %+v, want one message as it came first", done)
		}
		r.close()
	})
}
