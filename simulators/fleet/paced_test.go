package fleet_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
)

const loginTopology = `topology: test
nodes:
  device:
    kind: fleet
    count: 40
    login: worker
    session: {connect_rate: 10/s}
    sends:
      ask: {to: worker POST /ask, timeout: 1s, retry: {attempts: 50, backoff: {initial: 500ms}}}
  worker:
    kind: service
    handlers:
      login: {http: POST /login, do: [{issue: token}]}
      ask: {http: POST /ask, do: [{authenticate: worker}]}
flows:
  ask: {path: device -> worker}
`

// TestLoginsArePaced has all members lose their tokens and be refused at once.
func TestLoginsArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(t, loginTopology)
		time.Sleep(time.Second)
		begun := r.env.Recorder.Now()
		r.fleet.Forget(simulators.Members{Share: 1})
		for i := range int64(120) {
			r.fleet.Offer("ask", i, begun)
		}
		time.Sleep(30 * time.Second)
		r.close()
		var at []int64
		for _, e := range r.events {
			if e.Kind == history.Call && e.Step == "login" && e.At-e.Duration >= begun {
				at = append(at, e.At-e.Duration)
			}
		}
		slices.Sort(at)
		if len(at) < 20 {
			t.Fatalf("%d logins, want those of most members", len(at))
		}
		for i := 10; i < len(at); i++ {
			if at[i]-at[i-10] < int64(time.Second) {
				t.Fatalf("10/s declared/11 logins within %v", time.Duration(at[i]-at[i-10]))
			}
		}
	})
}
