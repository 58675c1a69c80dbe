package scenariotest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/scenarios/scenariotest"
)

const archiveDown = "testdata/process-archive-down.yaml"

// What goes round the dialers that it is given is told so, by name.
func TestWhatGoesRoundItsDialersIsTold(t *testing.T) {
	t.Parallel()
	foreign, err := net.Listen("tcp4", "127.0.0.1:0") // answers nobody
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { foreign.Close() })
	outside := make(chan struct{})
	t.Cleanup(func() { close(outside) })
	for name, c := range map[string]struct {
		file string
		code scenariotest.Option
		want []string
	}{
		"process dials its neighbours itself": {archiveDown, process(bySockets(commitsAfter)), []string{
			"it did not begin to take messages over", `process "worker": nothing of it used`,
			"ARCHIVE_URL, STREAM_BROKERS by env.Dial", "scenariotest.RealTime()"}},
		"handler asks a real server": {ordersCut, scenariotest.Handler("worker", asks("http://"+foreign.Addr().String())), []string{
			"the virtual clock stood still", "IO wait", "past Env.Dial", "scenariotest.RealTime()"}},
		"handler waits for the test": {ordersCut, scenariotest.Handler("worker",
			func(context.Context, scenariotest.Message) error {
				<-outside
				return nil
			}), []string{"the virtual clock stood still", "made outside of virtual time",
			"TestWhatGoesRoundItsDialersIsTold", "scenariotest.RealTime()"}},
		"process listens itself": {archiveDown, archive(func(ctx context.Context, env scenariotest.Env) (net.Listener, error) {
			return net.Listen("tcp4", env["LISTEN_ADDR"])
		}), []string{"the virtual clock stood still", "IO wait", "env.Listen"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := scenariotest.Play(t.Context(), c.file, c.code, scenariotest.Virtual(), scenariotest.Out(t.TempDir()))
			if err == nil {
				t.Fatal("it is not told")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("it does not say %q", want)
				}
			}
			if t.Failed() {
				t.Log(err)
			}
		})
	}
}

// asks is a handler that calls a server outside of the topology.
func asks(url string) func(context.Context, scenariotest.Message) error {
	return func(context.Context, scenariotest.Message) error {
		answer, err := http.Get(url)
		if err != nil {
			return err
		}
		return answer.Body.Close()
	}
}

// A server outside that answers at once takes no virtual time, and does no harm.
func TestAHandlerMayAskWhatAnswersAtOnce(t *testing.T) {
	t.Parallel()
	foreign := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(foreign.Close)
	got := results(t, map[string]situation{"": {ordersCut, options{scenariotest.Virtual(), scenariotest.Handler("worker",
		func(ctx context.Context, _ scenariotest.Message) error {
			transport := &http.Transport{DisableKeepAlives: true}
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, foreign.URL, nil)
			if err != nil {
				return err
			}
			answer, err := transport.RoundTrip(request)
			if err != nil {
				return err
			}
			return answer.Body.Close()
		})}, nil}})[""]
	if bad := notValid(got); bad != nil || len(got.Faults) > 0 {
		t.Errorf("not valid: %v, faults %v", bad, got.Faults)
	}
}

// archive is a process in the place of the archive: it keeps what it is sent in the lake.
func archive(listen func(context.Context, scenariotest.Env) (net.Listener, error)) scenariotest.Option {
	return scenariotest.Process("archive", func(ctx context.Context, env scenariotest.Env) error {
		l, err := listen(ctx, env)
		if err != nil {
			return err
		}
		lake := &http.Transport{DialContext: env.Dial}
		defer lake.CloseIdleConnections()
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := keep(lake, env["LAKE_URL"], r); err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
			}
		})}
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(l) }()
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			err := server.Close()
			<-ended
			return err
		}
	}, scenariotest.DialsByEnv)
}

// keep puts what an order's request carries into the lake, as a structured CloudEvent.
func keep(lake http.RoundTripper, url string, r *http.Request) error {
	order, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var event strings.Builder
	fmt.Fprintf(&event, `{"datacontenttype":"application/json","data":%s`, order)
	for name, values := range r.Header {
		if field, ok := strings.CutPrefix(strings.ToLower(name), "ce-"); ok {
			fmt.Fprintf(&event, `,%q:%q`, field, values[0])
		}
	}
	event.WriteString("}")
	object := url + "/faultline/orders/" + r.Header.Get("Ce-Id")
	put, err := http.NewRequestWithContext(r.Context(), http.MethodPut, object, strings.NewReader(event.String()))
	if err != nil {
		return err
	}
	answer, err := lake.RoundTrip(put)
	if err != nil {
		return err
	}
	if err := answer.Body.Close(); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the lake answered %s", answer.Status)
	}
	return nil
}

// A process that others call listens by its environment, by either clock, and again after a kill.
func TestAProcessThatIsCalled(t *testing.T) {
	t.Parallel()
	listen := func(ctx context.Context, env scenariotest.Env) (net.Listener, error) { return env.Listen(ctx) }
	code := archive(listen)
	const killed = "testdata/process-archive-killed.yaml"
	got := results(t, map[string]situation{
		"virtual": {killed, options{code, scenariotest.Virtual()}, nil},
		"real":    {killed, options{code, scenariotest.RealTime()}, nil},
	})
	for name, r := range got {
		if v := notValid(r); v["delivery[order]"] != "" || v["load"] != "" || len(r.Faults) > 0 {
			t.Errorf("%s: %v, faults %v", name, v, r.Faults)
		}
	}
}

func TestAnEnvOfNobodyDialsNobody(t *testing.T) {
	made := scenariotest.Env{"ARCHIVE_URL": "http://127.0.0.1:1"}
	if _, err := made.Dial(t.Context(), "tcp", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "made by hand") {
		t.Errorf("dialled by hand: %v", err)
	}
	var later scenariotest.Env
	var strange, listened error
	got := results(t, map[string]situation{"": {"testdata/process-killed.yaml", options{process(
		func(ctx context.Context, env scenariotest.Env) error {
			later = env
			_, strange = env.Dial(ctx, "tcp", "192.0.2.1:80")
			_, listened = env.Listen(ctx)
			return commitsAfter(ctx, env)
		})}, nil}})[""]
	if bad := notValid(got); bad != nil {
		t.Errorf("not valid: %v", bad)
	}
	if strange == nil || !strings.Contains(strange.Error(), "worker[0] has no neighbour at 192.0.2.1:80, only at 127.0.0.1:") {
		t.Errorf("dialled a stranger: %v", strange)
	}
	if listened == nil || !strings.Contains(listened.Error(), "nobody calls this node") {
		t.Errorf("listened where nobody calls: %v", listened)
	}
	if _, err := later.Dial(t.Context(), "tcp", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "has returned") {
		t.Errorf("dialled after its return: %v", err)
	}
}

// A process that leaves goroutines behind is at fault; its verdicts stand.
func TestWhatAProcessLeavesBehindIsAFault(t *testing.T) {
	t.Parallel()
	got := results(t, map[string]situation{"": {"testdata/process-killed.yaml", options{process(
		func(ctx context.Context, env scenariotest.Env) error {
			go func() { <-make(chan struct{}) }()
			return commitsAfter(ctx, env)
		})}, nil}})[""]
	if bad := notValid(got); bad != nil {
		t.Errorf("not valid: %v", bad)
	}
	if len(got.Faults) != 1 || !strings.Contains(got.Faults[0].Error(), "TestWhatAProcessLeavesBehindIsAFault") {
		t.Errorf("faults %v", got.Faults)
	}
}

// What cannot be in virtual time says why, and is refused where it was asked for.
func TestVirtualWhereItCannotBe(t *testing.T) {
	t.Parallel()
	_, err := scenariotest.Play(t.Context(), "testdata/process-killed.yaml", scenariotest.Out(t.TempDir()),
		scenariotest.Process("worker", commitsAfter), scenariotest.Virtual())
	var mistakes *scenariotest.MistakesError
	want := "virtual time is not possible: the function in the place of worker is not said to dial by what it is " +
		"given (scenariotest.DialsByEnv)"
	if !errors.As(err, &mistakes) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want a mistake with %s", err, want)
	}
}

// Many runs at once are safe, and one seed gives one history.
func TestRunsAtOnce(t *testing.T) {
	t.Parallel()
	all := map[string]situation{}
	for i := range 4 {
		all[fmt.Sprint("virtual ", i)] = situation{ordersCut, append(handler(price), scenariotest.Virtual(), scenariotest.Seed(7)), nil}
	}
	digests := map[string]bool{}
	for name, r := range results(t, all) {
		if bad := notValid(r); bad != nil {
			t.Errorf("%s: %v", name, bad)
		}
		if d := r.Report.Clock.Digest; d != "" {
			digests[d] = true
		}
	}
	if len(digests) != 1 && !raceDetector() {
		t.Errorf("%d histories of one seed", len(digests))
	}
}

// raceDetector says that goroutines come in an order that the race detector draws.
func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// In virtual time minutes are nothing.
func TestMinutesTakeNoTime(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	got := results(t, map[string]situation{"": {ordersCut, append(handler(
		func(context.Context, scenariotest.Message) error {
			time.Sleep(200 * time.Millisecond)
			return nil
		}), scenariotest.Virtual()), nil}})[""]
	if bad := notValid(got); bad != nil {
		t.Errorf("not valid: %v", bad)
	}
	t.Logf("a run of %s took %s", got.Report.Took, time.Since(begun))
}
