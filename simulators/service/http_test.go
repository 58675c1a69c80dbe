package service_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/auth"
	"github.com/faultline-sim/faultline/simulators/conn/httpx"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/simulators/service/mailbox"
	"github.com/faultline-sim/faultline/topology"
)

const httpTopology = `topology: test
nodes:
  app: {kind: fleet, sends: {job: {to: worker POST /jobs}}, handlers: {notes: {subscribe: worker/notes/:id}}}
  out: {kind: broker, protocol: kafka}
  shelf: {kind: store, protocol: s3}
  worker:
    kind: service
    handlers:
      work: {http: POST /jobs, do: [{validate: {schema: {type: object, required: [ok]}}}, {publish: out/done}, {reply: {status: 201}}]}
      late: {http: POST /late, ack: before_work, do: [{work: {p50: 1s}}, {publish: out/done}]}
      note: {http: POST /notes, do: [{publish: worker/notes/:id}]}
      few: {http: POST /few, rate_limit: 1/s, do: [{publish: out/done}]}
      safe: {http: POST /safe, do: [{authenticate: worker}, {publish: out/done}]}
      look: {http: POST /look, do: [{lookup: shelf}, {reply: {status: 200}}]}
      login: {http: POST /login, do: [{issue: token}]}
flows:
  job: {path: app -> worker}
`

// ask sends one request to the worker, as the app would.
func (r *rig) ask(method, path string, m *message.Message) *httpx.Response {
	r.t.Helper()
	c := httpx.NewClient(r.env.Fabric.Dialer(topology.Wire{From: "app", To: "worker"}, 0))
	defer c.Close()
	got, err := c.Do(r.t.Context(), method, path, m)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return got
}

func TestAnswers(t *testing.T) {
	cases := map[string]struct {
		path, data, token string
		down              bool
		behave            simulators.Behavior
		want              int
		body              string
	}{
		"http/all well/declared status":        {path: "/jobs", data: `{"ok":1}`, want: 201},
		"http/broken schema/permanent":         {path: "/jobs", data: `{}`, want: 400, body: `{"reason":"schema"}`},
		"http/broker down/come again":          {path: "/jobs", data: `{"ok":1}`, down: true, want: 503, body: `{"reason":"no_answer"}`},
		"http/answer before work/accepted":     {path: "/late", data: `{}`, want: 202},
		"http/no token/refused":                {path: "/safe", data: `{}`, want: 401, body: `{"reason":"auth"}`},
		"http/forged token/refused":            {path: "/safe", data: `{}`, token: "x.y.z", want: 401, body: `{"reason":"auth"}`},
		"http/row that is not there/an answer": {path: "/look", data: `{}`, want: 200},
		"outage/any request/503":               {path: "/jobs", data: `{"ok":1}`, behave: simulators.Behavior{Kind: simulators.Outage}, want: 503},
		"errors/declared status/told": {
			path: "/jobs", data: `{"ok":1}`, behave: simulators.Behavior{Kind: simulators.Errors, Status: 500, Share: 1},
			want: 500, body: `{"reason":"500"}`,
		},
		"quota/first request/let in": {
			path: "/jobs", data: `{"ok":1}`, behave: simulators.Behavior{Kind: simulators.Quota, Rate: 1}, want: 201,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, httpTopology, nil)
				defer r.close()
				if c.down {
					r.failing("done", 1, errDown)
				}
				if c.behave.Kind != "" {
					if _, err := r.service.Inject(c.behave); err != nil {
						t.Fatal(err)
					}
				}
				m := r.job(0, c.data)
				m.Token = c.token
				got := r.ask("POST", c.path, m)
				if got.Status != c.want || string(got.Body) != c.body {
					t.Errorf("answered %d %s, want %d %s", got.Status, got.Body, c.want, c.body)
				}
			})
		})
	}
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, httpTopology, nil)
		defer r.close()
		ask := func(path string) int { return r.ask("POST", path, r.job(0, `{"ok":1}`)).Status }
		got := []int{ask("/few"), ask("/few")}
		time.Sleep(time.Second)
		got = append(got, ask("/few"))
		quota, err := r.service.Inject(simulators.Behavior{Kind: simulators.Quota, Rate: 2})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ask("/jobs"), ask("/jobs"), ask("/jobs"))
		quota.Heal()
		got = append(got, ask("/jobs"))
		if diff := cmp.Diff([]int{200, 429, 200, 201, 201, 429, 201}, got); diff != "" {
			t.Errorf("rate_limit and quota (-want +got):\n%s", diff)
		}
		if quota.Touched() != 1 {
			t.Errorf("quota touched %d, want 1", quota.Touched())
		}
	})
}

func TestLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, httpTopology, nil)
		defer r.close()
		var grant auth.Grant
		if err := json.Unmarshal(r.ask("POST", "/login?user=app-1", nil).Body, &grant); err != nil {
			t.Fatal(err)
		}
		m := r.job(0, `{}`)
		m.Token = grant.AccessToken
		if got := r.ask("POST", "/safe", m); got.Status != 200 {
			t.Errorf("with the granted token: %d, want 200", got.Status)
		}
	})
}

func TestMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, httpTopology, nil)
		defer r.close()
		poll := func(acked int64) (last int64, ids []string) {
			got := r.ask("GET", mailbox.Path("worker/notes/:id", "d-1", acked), nil)
			if got.Status == 204 {
				return -1, nil
			}
			var answer mailbox.Answer
			if err := json.Unmarshal(got.Body, &answer); err != nil {
				t.Fatal(err)
			}
			for _, doc := range answer.Messages {
				m, err := message.FromStructured(doc)
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, m.ID())
			}
			return answer.Last, ids
		}
		r.ask("POST", "/notes", r.job(0, `{}`))
		r.ask("POST", "/notes", r.job(1, `{}`))
		type polled struct {
			Last int64
			IDs  []string
		}
		var got []polled
		for _, acked := range []int64{0, 0, 1, 2} {
			last, ids := poll(acked)
			got = append(got, polled{last, ids})
		}
		want := []polled{{2, []string{"job-0", "job-1"}}, {2, []string{"job-0", "job-1"}}, {2, []string{"job-1"}}, {-1, nil}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("mailbox/until acknowledged/kept (-want +got):\n%s", diff)
		}
	})
}

func TestPollWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, httpTopology, nil)
		defer r.close()
		begin := time.Now()
		posted := make(chan struct{})
		time.AfterFunc(3*time.Second, func() {
			defer close(posted)
			r.ask("POST", "/notes", r.job(0, `{}`))
		})
		got := r.ask("GET", mailbox.Path("worker/notes/:id", "d-1", 0), nil)
		<-posted
		if waited := time.Since(begin); got.Status != 200 || waited != 3*time.Second {
			t.Errorf("poll answered %d after %v, want 200 after 3s", got.Status, waited)
		}
	})
}

func TestCrashedCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, httpTopology, nil)
		ctx, cancel := context.WithCancel(t.Context())
		c := httpx.NewClient(r.env.Fabric.Dialer(topology.Wire{From: "app", To: "worker"}, 0))
		failed := make(chan error, 1)
		go func() {
			_, err := c.Do(ctx, "GET", mailbox.Path("worker/notes/:id", "d-1", 0), nil)
			failed <- err
		}()
		synctest.Wait()
		if err := r.service.CrashReplica(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; err == nil {
			t.Error("crash/request in hand: answered, want a broken connection")
		}
		cancel()
		c.Close()
		r.close()
	})
}
