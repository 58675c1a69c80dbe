package service_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
)

// native leaves dead-lettering to the broker.
func native(h *topology.Handler) { h.Policy.DeadLetter.Native = true }

// byBroker plays on a bus that dead-letters by itself after so many deliveries.
func byBroker(deliveries int, rejects bool, play func(*rig)) func(*rig) {
	return func(r *rig) {
		r.bus.Deliveries, r.bus.Rejects = deliveries, rejects
		play(r)
	}
}

func TestRetry(t *testing.T) {
	const backoff = "{initial: 100ms, factor: 2, max: 300ms}"
	play(t, map[string]script{
		"retry/step fails twice/declared pauses": {
			handler: `
        subscribe: in/jobs/:id
        do: [{publish: out/done, retry: {attempts: 4, backoff: ` + backoff + `}}]`,
			play: one("done", 2, time.Second),
			want: []string{
				"0s receive job-0",
				"0s publish unknown publish out/done no_answer #1 job-0",
				"100ms publish unknown publish out/done no_answer #2 job-0",
				"300ms publish ok publish out/done #3 job-0",
				"300ms attempt ok #1 job-0",
				"300ms ack ok job-0",
			},
		},
		"retry/attempts used up/dead-lettered": {
			handler: `
        subscribe: in/jobs/:id
        dead_letter: {attempts: 3, channel: out/dead}
        retry: {attempts: 3, backoff: ` + backoff + `}
        do: [{publish: out/done}]`,
			play: one("done", 9, time.Second),
			want: []string{
				"0s receive job-0",
				"0s publish unknown publish out/done no_answer #1 job-0",
				"0s attempt unknown no_answer #1 job-0",
				"100ms publish unknown publish out/done no_answer #1 job-0",
				"100ms attempt unknown no_answer #2 job-0",
				"300ms publish unknown publish out/done no_answer #1 job-0",
				"300ms attempt unknown no_answer #3 job-0",
				"300ms dead_letter ok no_answer #3 job-0",
				"300ms ack ok job-0",
			},
		},
		"retry/reason declared permanent/no second try": {
			handler: `
        subscribe: in/jobs/:id
        dead_letter: {attempts: 3, channel: out/dead}
        do: [{publish: out/done, retry: {attempts: 4, permanent: [no_answer]}}]`,
			play: one("done", 9, time.Second),
			want: []string{
				"0s receive job-0",
				"0s publish unknown publish out/done no_answer #1 job-0",
				"0s attempt unknown no_answer #1 job-0",
				"0s dead_letter ok no_answer #1 job-0",
				"0s ack ok job-0",
			},
		},
		"retry/no dead letter/given back after the backoff": {
			handler: `
        subscribe: in/jobs/:id
        retry: {attempts: 1, backoff: {initial: 200ms}}
        do: [{publish: out/done}]`,
			play: one("done", 1, time.Second),
			want: []string{
				"0s receive job-0",
				"0s publish unknown publish out/done no_answer #1 job-0",
				"0s attempt unknown no_answer #1 job-0",
				"200ms ack fail job-0",
				"200ms receive job-0",
				"200ms publish ok publish out/done #1 job-0",
				"200ms attempt ok #1 job-0",
				"200ms ack ok job-0",
			},
		},
		"dead_letter/dropped as built/acknowledged and forgotten": {
			handler: `
        subscribe: in/jobs/:id
        dead_letter: {attempts: 1, channel: out/dead}
        do: [{publish: out/done}]`,
			tweak: func(h *topology.Handler) { h.Policy.DeadLetter.Dropped = true },
			play:  one("done", 1, time.Second),
			want: []string{
				"0s receive job-0",
				"0s publish unknown publish out/done no_answer #1 job-0",
				"0s attempt unknown no_answer #1 job-0",
				"0s ack ok job-0",
			},
		},
		"dead_letter/native/given back until the broker has counted enough": {
			handler: `
        subscribe: in/jobs/:id
        dead_letter: {attempts: 3, channel: out/dead}
        retry: {attempts: 1, backoff: ` + backoff + `}
        do: [{publish: out/done}]`,
			tweak: native,
			play:  byBroker(3, false, one("done", 9, time.Second)),
			want: []string{
				"0s receive job-0",
				"0s publish unknown publish out/done no_answer #1 job-0",
				"0s attempt unknown no_answer #1 job-0",
				"100ms ack fail job-0",
				"100ms receive job-0",
				"100ms publish unknown publish out/done no_answer #1 job-0",
				"100ms attempt unknown no_answer #1 job-0",
				"300ms ack fail job-0",
				"300ms receive job-0",
				"300ms publish unknown publish out/done no_answer #1 job-0",
				"300ms attempt unknown no_answer #1 job-0",
				"600ms ack fail job-0",
				"600ms dead_letter no_answer #3 job-0",
			},
		},
		"dead_letter/native, refused for good/rejected at once": {
			handler: `
        subscribe: in/jobs/:id
        dead_letter: {attempts: 3, channel: out/dead}
        do: [{publish: out/done, retry: {attempts: 4, permanent: [no_answer]}}]`,
			tweak: native,
			play:  byBroker(3, true, one("done", 9, time.Second)),
			want: []string{
				"0s receive job-0",
				"0s publish unknown publish out/done no_answer #1 job-0",
				"0s attempt unknown no_answer #1 job-0",
				"0s ack fail job-0",
				"0s dead_letter no_answer #1 job-0",
			},
		},
		"dead_letter/native, refused for good, no reject/published to the channel": {
			handler: `
        subscribe: in/jobs/:id
        dead_letter: {attempts: 3, channel: out/dead}
        do: [{publish: out/done, retry: {attempts: 4, permanent: [no_answer]}}]`,
			tweak: native,
			play:  byBroker(3, false, one("done", 9, time.Second)),
			want: []string{
				"0s receive job-0",
				"0s publish unknown publish out/done no_answer #1 job-0",
				"0s attempt unknown no_answer #1 job-0",
				"0s dead_letter ok no_answer #1 job-0",
				"0s ack ok job-0",
			},
		},
		"ack/before the work/acknowledged first": {
			handler: `
        subscribe: in/jobs/:id
        ack: before_work
        do: [{work: {p50: 10ms}}, {publish: out/done}]`,
			play: one("done", 0, time.Second),
			want: []string{
				"0s receive job-0",
				"0s ack ok job-0",
				"10ms publish ok publish out/done #1 job-0",
				"10ms attempt ok #1 job-0",
			},
		},
	})
}

func TestBreaker(t *testing.T) {
	handler := func(when string) string {
		return `
        subscribe: in/jobs/:id
        dead_letter: {attempts: 1, channel: out/dead}
        do: [{publish: out/done, breaker: {failures: 2, within: 10s, open: 1s, when_open: ` + when + `}}]`
	}
	jobs := func(fail int) func(*rig) {
		return func(r *rig) {
			r.failing("done", fail, errDown)
			for i := range int64(4) {
				r.send(i, `{}`)
			}
			time.Sleep(1500 * time.Millisecond)
			r.send(4, `{}`)
		}
	}
	open := []string{
		"0s receive job-0",
		"0s publish unknown publish out/done no_answer #1 job-0",
		"0s attempt unknown no_answer #1 job-0",
		"0s dead_letter ok no_answer #1 job-0",
		"0s ack ok job-0",
		"0s receive job-1",
		"0s breaker publish out/done open",
		"0s publish unknown publish out/done no_answer #1 job-1",
		"0s attempt unknown no_answer #1 job-1",
		"0s dead_letter ok no_answer #1 job-1",
		"0s ack ok job-1",
		"0s receive job-2",
	}
	play(t, map[string]script{
		"breaker/open and fail/refused until a trial": {
			handler: handler("fail"), play: jobs(2),
			want: append(open[:len(open):len(open)],
				"0s publish fail publish out/done breaker_open #1 job-2",
				"0s attempt fail breaker_open #1 job-2",
				"0s dead_letter ok breaker_open #1 job-2",
				"0s ack ok job-2",
				"0s receive job-3",
				"0s publish fail publish out/done breaker_open #1 job-3",
				"0s attempt fail breaker_open #1 job-3",
				"0s dead_letter ok breaker_open #1 job-3",
				"0s ack ok job-3",
				"1.5s receive job-4",
				"1.5s breaker publish out/done half_open",
				"1.5s breaker publish out/done closed",
				"1.5s publish ok publish out/done #1 job-4",
				"1.5s attempt ok #1 job-4",
				"1.5s ack ok job-4",
			),
		},
		"breaker/open and pause/waits without a try": {
			handler: handler("pause"), play: jobs(2),
			want: append(open[:len(open):len(open)],
				"1s breaker publish out/done half_open",
				"1s breaker publish out/done closed",
				"1s publish ok publish out/done #1 job-2",
				"1s attempt ok #1 job-2",
				"1s ack ok job-2",
				"1s receive job-3",
				"1s publish ok publish out/done #1 job-3",
				"1s attempt ok #1 job-3",
				"1s ack ok job-3",
				"1.5s receive job-4",
				"1.5s publish ok publish out/done #1 job-4",
				"1.5s attempt ok #1 job-4",
				"1.5s ack ok job-4",
			),
		},
		"breaker/trial fails/open again": {
			handler: handler("pause"),
			play: func(r *rig) {
				jobs(3)(r)
				time.Sleep(time.Second)
			},
			want: append(open[:len(open):len(open)],
				"1s breaker publish out/done half_open",
				"1s breaker publish out/done open",
				"1s publish unknown publish out/done no_answer #1 job-2",
				"1s attempt unknown no_answer #1 job-2",
				"1s dead_letter ok no_answer #1 job-2",
				"1s ack ok job-2",
				"1s receive job-3",
				"2s breaker publish out/done half_open",
				"2s breaker publish out/done closed",
				"2s publish ok publish out/done #1 job-3",
				"2s attempt ok #1 job-3",
				"2s ack ok job-3",
				"2s receive job-4",
				"2s publish ok publish out/done #1 job-4",
				"2s attempt ok #1 job-4",
				"2s ack ok job-4",
			),
		},
	})
}

func TestMessages(t *testing.T) {
	play(t, map[string]script{
		"ttl/older than the handler's/expired": {
			handler: `
        subscribe: in/jobs/:id
        ttl: 1s
        do: [{publish: out/done}]`,
			play: func(r *rig) {
				old := r.job(0, `{}`)
				time.Sleep(1100 * time.Millisecond)
				r.bus.Send("jobs/d-1", old)
				synctest.Wait()
			},
			want: []string{"1.1s receive job-0", "1.1s expire job-0", "1.1s ack ok job-0"},
		},
		"dedupe/delivered twice/dropped as known": {
			handler: `
        subscribe: in/jobs/:id
        dedupe: {window: 1m}
        do: [{publish: out/done}]`,
			play: func(r *rig) {
				r.send(0, `{}`)
				r.send(0, `{}`)
			},
			want: []string{
				"0s receive job-0",
				"0s publish ok publish out/done #1 job-0",
				"0s attempt ok #1 job-0",
				"0s ack ok job-0",
				"0s receive job-0",
				"0s attempt ok #1 job-0",
				"0s ack ok duplicate job-0",
			},
		},
		"schema/broken/dead-lettered at once": {
			handler: `
        subscribe: in/jobs/:id
        dead_letter: {attempts: 5, channel: out/dead}
        do:
          - validate: {schema: {type: object, required: [temp]}}
          - publish: out/done`,
			play: func(r *rig) { r.send(0, `{"hot": true}`) },
			want: []string{
				"0s receive job-0",
				"0s attempt fail schema #1 job-0",
				"0s dead_letter ok schema #1 job-0",
				"0s ack ok job-0",
			},
		},
		"timeout/no answer/unknown": {
			handler: `
        subscribe: in/jobs/:id
        dead_letter: {attempts: 1, channel: out/dead}
        do: [{publish: out/done, timeout: 300ms}]`,
			play: func(r *rig) {
				r.bus.Answer = func(ctx context.Context, channel string, _ *message.Message) error {
					if channel != "done" {
						return nil
					}
					<-ctx.Done()
					return fmt.Errorf("publish: %w: %w", errDown, ctx.Err())
				}
				r.send(0, `{}`)
				time.Sleep(time.Second)
			},
			want: []string{
				"0s receive job-0",
				"300ms publish unknown publish out/done timeout #1 job-0",
				"300ms attempt unknown timeout #1 job-0",
				"300ms dead_letter ok timeout #1 job-0",
				"300ms ack ok job-0",
			},
		},
		"derive/redelivered/the same message again": {
			handler: `
        subscribe: in/jobs/:id
        retry: {attempts: 1, backoff: {initial: 1s}}
        do:
          - when: data.temp > 80
            do: [{publish: out/notes, derive: note}]
          - publish: out/done`,
			play: func(r *rig) {
				r.failing("done", 1, errDown)
				r.send(0, `{"temp": 90}`)
				time.Sleep(1500 * time.Millisecond)
				r.send(1, `{"temp": 70}`)
			},
			want: []string{
				"0s receive job-0",
				"0s derive publish out/notes note-0",
				"0s publish ok publish out/notes #1 job-0",
				"0s publish unknown publish out/done no_answer #1 job-0",
				"0s attempt unknown no_answer #1 job-0",
				"1s ack fail job-0",
				"1s receive job-0",
				"1s publish ok publish out/notes #1 job-0",
				"1s publish ok publish out/done #1 job-0",
				"1s attempt ok #1 job-0",
				"1s ack ok job-0",
				"1.5s receive job-1",
				"1.5s publish ok publish out/done #1 job-1",
				"1.5s attempt ok #1 job-1",
				"1.5s ack ok job-1",
			},
		},
		"filter/condition does not hold/ends here": {
			handler: `
        subscribe: in/jobs/:id
        do:
          - when: data.temp > 80
            else: filter
            do: [{publish: out/done}]
          - store: shelf`,
			play: func(r *rig) { r.send(0, `{"temp": 70}`) },
			want: []string{
				"0s receive job-0",
				"0s filter when job-0",
				"0s attempt ok #1 job-0",
				"0s ack ok job-0",
			},
		},
	})
}

func TestDeadLetterHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, handlerTopology(`
        subscribe: in/jobs/:id
        dead_letter: {attempts: 2, channel: out/dead}
        retry: {attempts: 2, backoff: {initial: 1s}}
        do: [{publish: out/done}]`), nil)
		var mu sync.Mutex
		refused := 1
		r.bus.Answer = func(_ context.Context, channel string, _ *message.Message) error {
			mu.Lock()
			defer mu.Unlock()
			if channel == "dead" && refused == 0 {
				return nil
			}
			if channel == "dead" {
				refused--
			}
			return errDown
		}
		start := time.Now().UTC()
		r.send(3, `{}`)
		time.Sleep(2 * time.Second)
		dead := r.bus.Published("dead")
		if len(dead) != 1 {
			t.Fatalf("%d messages in the dead-letter channel, want 1", len(dead))
		}
		want := map[string]string{
			message.HeaderReason: "no_answer", message.HeaderAttempts: "2",
			message.HeaderOrigin:       "in/jobs/d-1",
			message.HeaderFirstFailure: start.Format(time.RFC3339Nano),
			message.HeaderLastFailure:  start.Add(time.Second).Format(time.RFC3339Nano),
			message.HeaderTrace:        fmt.Sprintf("%x", dead[0].Trace),
		}
		if diff := cmp.Diff(want, dead[0].Headers); diff != "" {
			t.Errorf("headers (-want +got):\n%s", diff)
		}
		if acked, _ := r.bus.Settled(); !cmp.Equal(acked, []string{"job-3"}) {
			t.Errorf("acknowledged %v, want job-3 after the dead-letter publish", acked)
		}
		r.close()
	})
}

func TestBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, handlerTopology(`
        batch: {channel: in/jobs/:id, size: 3, every: 1s}
        dead_letter: {attempts: 2, channel: out/dead}
        retry: {attempts: 2, backoff: {initial: 100ms}}
        do: [{store: shelf}]`), nil)
		for i := range int64(5) {
			r.send(i, `{}`)
		}
		time.Sleep(2 * time.Second)
		want := [][]string{{"job-0", "job-1", "job-2"}, {"job-3", "job-4"}}
		if diff := cmp.Diff(want, r.shelf.Writes()); diff != "" {
			t.Errorf("batch/by size, then by time/written together (-want +got):\n%s", diff)
		}
		r.close()
	})
}

func TestPoisonInBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, handlerTopology(`
        batch: {channel: in/jobs/:id, size: 4, every: 1s}
        dead_letter: {attempts: 3, channel: out/dead}
        do: [{store: shelf}]`), nil)
		share := 0.5
		poisoned := map[bool][]string{}
		for i := range int64(4) {
			bad := r.env.Chosen("p", "job", i, share)
			poisoned[bad] = append(poisoned[bad], message.FormatID("job", i))
		}
		if len(poisoned[true]) == 0 || len(poisoned[false]) == 0 {
			t.Fatal("the seed poisons none or all, choose another")
		}
		poison, err := r.service.Inject(simulators.Behavior{Name: "p", Kind: simulators.Poison, Share: share})
		if err != nil {
			t.Fatal(err)
		}
		for i := range int64(4) {
			r.send(i, `{}`)
		}
		time.Sleep(2 * time.Second)
		if diff := cmp.Diff([][]string{poisoned[false]}, r.shelf.Writes()); diff != "" {
			t.Errorf("dead_letter/poison in a batch/neighbours stored (-want +got):\n%s", diff)
		}
		var dead []string
		for _, m := range r.bus.Published("dead") {
			dead = append(dead, m.ID())
		}
		if diff := cmp.Diff(poisoned[true], dead); diff != "" {
			t.Errorf("dead_letter/poison in a batch/only it (-want +got):\n%s", diff)
		}
		if want := int64(3 * len(poisoned[true])); poison.Touched() != want {
			t.Errorf("touched %d, want %d: each attempt once", poison.Touched(), want)
		}
		r.close()
	})
}

func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, handlerTopology(`
        subscribe: in/jobs/:id
        concurrency: 8
        retry: {attempts: 5, backoff: {initial: 100ms}}
        do: [{work: {p50: 5ms, p99: 50ms}}, {publish: out/done}]`), nil)
		r.failing("done", 3, errDown)
		var want []int64
		for i := range int64(20) {
			r.send(i, `{}`)
			want = append(want, i)
		}
		time.Sleep(10 * time.Second)
		var got []int64
		for _, m := range r.bus.Published("done") {
			got = append(got, m.KeySeq)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("order/retries and 8 lanes/kept per key (-want +got):\n%s", diff)
		}
		r.close()
	})
}

func TestReplicaLife(t *testing.T) {
	const handler = `
        subscribe: in/jobs/:id
        do: [{work: {p50: 1s}}, {publish: out/done}]`
	play(t, map[string]script{
		"stop/work in hand/finished": {
			handler: handler,
			play: func(r *rig) {
				r.send(0, `{}`)
				r.send(1, `{}`)
				time.Sleep(500 * time.Millisecond)
				if err := r.service.StopReplica(r.t.Context(), 0); err != nil {
					r.t.Error(err)
				}
				time.Sleep(5 * time.Second)
			},
			want: []string{
				"0s receive job-0",
				"1s publish ok publish out/done #1 job-0",
				"1s attempt ok #1 job-0",
				"1s ack ok job-0",
			},
		},
		"stop/deadline passed/abandoned": {
			handler: handler,
			play: func(r *rig) {
				r.send(0, `{}`)
				ctx, cancel := context.WithTimeout(r.t.Context(), 100*time.Millisecond)
				defer cancel()
				if err := r.service.StopReplica(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
					r.t.Errorf("stop = %v, want the deadline", err)
				}
			},
			want: []string{"0s receive job-0", "100ms attempt fail stopped #1 job-0"},
		},
		"crash/work in hand/unknown and nothing more": {
			handler: handler,
			play: func(r *rig) {
				r.send(0, `{}`)
				time.Sleep(500 * time.Millisecond)
				if err := r.service.CrashReplica(r.t.Context(), 0); err != nil {
					r.t.Error(err)
				}
				r.send(1, `{}`)
				if err := r.service.StartReplica(r.t.Context(), 0); err != nil {
					r.t.Error(err)
				}
				r.send(2, `{}`)
				time.Sleep(2 * time.Second)
			},
			want: []string{
				"0s receive job-0",
				"500ms attempt unknown crash #1 job-0",
				"500ms receive job-2",
				"1.5s publish ok publish out/done #1 job-2",
				"1.5s attempt ok #1 job-2",
				"1.5s ack ok job-2",
			},
		},
		"crash on message/every delivery/until healed": {
			handler: handler,
			play: func(r *rig) {
				crash, err := r.service.Inject(simulators.Behavior{
					Name: "c", Kind: simulators.CrashOn, Share: 1, Every: true,
				})
				if err != nil {
					r.t.Fatal(err)
				}
				for range 2 {
					r.send(0, `{}`)
					time.Sleep(time.Second)
				}
				crash.Heal()
				r.send(0, `{}`)
				time.Sleep(2 * time.Second)
				if crash.Touched() != 2 {
					r.t.Errorf("touched %d, want 2", crash.Touched())
				}
			},
			want: []string{
				"0s receive job-0",
				"0s attempt unknown crash #1 job-0",
				"1s receive job-0",
				"1s attempt unknown crash #1 job-0",
				"2s receive job-0",
				"3s publish ok publish out/done #1 job-0",
				"3s attempt ok #1 job-0",
				"3s ack ok job-0",
			},
		},
		"ack before work/crash before the bus has it/no ack": {
			handler: "\n        ack: before_work" + handler,
			play: func(r *rig) {
				r.bus.ConfirmAfter = 100 * time.Millisecond
				r.send(0, `{}`)
				time.Sleep(500 * time.Millisecond)
				r.send(1, `{}`)
				time.Sleep(50 * time.Millisecond)
				if err := r.service.CrashReplica(r.t.Context(), 0); err != nil {
					r.t.Error(err)
				}
				time.Sleep(time.Second)
			},
			want: []string{
				"0s receive job-0",
				"100ms ack ok job-0",
				"550ms attempt unknown crash #1 job-0",
			},
		},
		"pause/while a message arrives/handled after resuming": {
			handler: handler,
			play: func(r *rig) {
				resume, err := r.service.PauseReplica(0)
				if err != nil {
					r.t.Fatal(err)
				}
				r.send(0, `{}`)
				time.Sleep(3 * time.Second)
				resume()
				time.Sleep(2 * time.Second)
			},
			want: []string{
				"3s receive job-0",
				"4s publish ok publish out/done #1 job-0",
				"4s attempt ok #1 job-0",
				"4s ack ok job-0",
			},
		},
		"crash on message/chosen/once and restarted": {
			handler: handler,
			play: func(r *rig) {
				_, err := r.service.Inject(simulators.Behavior{Name: "c", Kind: simulators.CrashOn, Share: 1})
				if err != nil {
					r.t.Fatal(err)
				}
				r.send(0, `{}`)
				time.Sleep(time.Second)
				r.send(0, `{}`)
				time.Sleep(2 * time.Second)
			},
			want: []string{
				"0s receive job-0",
				"0s attempt unknown crash #1 job-0",
				"1s receive job-0",
				"2s publish ok publish out/done #1 job-0",
				"2s attempt ok #1 job-0",
				"2s ack ok job-0",
			},
		},
	})
}
