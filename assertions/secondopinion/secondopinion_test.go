// Package secondopinion_test holds the SQL of a second opinion against small histories whose figures
// are counted by hand, and the comparison against a judge that says something else.
package secondopinion_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
)

// duckdb is a Python that has DuckDB. A test is skipped without it, unless it is CI that runs it.
func duckdb(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("python-duckdb")
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatal(err)
	case err != nil:
		t.Skip("python-duckdb is not on PATH: .ci/programs duckdb installs it")
	}
	return path
}

// The promise is testdata/plan.json: a fleet sends to a channel, from which a worker stores in a
// database. Of its flows orders is judged by its endings, pulse, echo and beat by their recovery. An
// echo is born of a pulse in the worker, the others are sent to bus/in.
const (
	source, worker, store = "devices", "worker", "db"
	channel, deadChannel  = "bus/in", "bus/in.dead"
	storeWire             = "worker -> db"
)

// log is a history in the making.
type log []history.Event

func ms(n int) int64 { return int64(n) * int64(time.Millisecond) }

func (l *log) add(kind history.Kind, at int64, change func(*history.Event)) {
	e := history.New(kind, at)
	change(&e)
	*l = append(*l, e)
}

// message is one message of a flow; its rows are added by what happens to it.
type message struct {
	log    *log
	flow   string
	number int64
	key    string
	seq    int64
}

func (m message) add(kind history.Kind, at int64, outcome history.Outcome,
	change func(*history.Event)) {
	m.log.add(kind, at, func(e *history.Event) {
		e.Flow, e.Message, e.Key, e.KeySeq, e.Outcome = m.flow, m.number, m.key, m.seq, outcome
		change(e)
	})
}

// sent begins the message; its producer is told at once.
func (m message) sent(at int64, told history.Outcome) {
	by := func(e *history.Event) { e.Node = source }
	m.add(history.Produce, at, history.None, by)
	m.add(history.Produce, at+ms(1), told, by)
}

func (m message) worked(kind history.Kind, at int64, outcome history.Outcome, attempt int32,
	reason string) {
	m.add(kind, at, outcome, func(e *history.Event) {
		e.Node, e.Handler, e.Attempt, e.Reason = worker, "in", attempt, reason
		switch kind {
		case history.Store:
			e.Wire, e.Step = storeWire, "store db"
		case history.DeadLetter:
			e.Channel = deadChannel
		case history.Receive:
			e.Channel, e.Delivery = channel, 1
		case history.Filter:
			e.Step = "wanted"
		}
	})
}

func (m message) stored(at int64) { m.worked(history.Store, at, history.Ok, 1, "") }

func (m message) found(node, channel string, copies int64) {
	m.add(history.Found, ms(12_100), history.None, func(e *history.Event) {
		e.Node, e.Channel, e.Value = node, channel, copies
	})
}

// phases are those of the run: the fault heals at 4.1 s, the load ends at 10 s, the drain at 12 s.
func (l *log) phases() {
	for name, at := range map[string]int{"steady": 0, "timeline": 3_000, "recover": 4_000,
		"drain": 10_000, "audit": 12_000} {
		l.add(history.Phase, ms(at), func(e *history.Event) { e.Step = name })
	}
	for reason, at := range map[string]int{"inject": 3_000, "bite": 3_500, "heal": 4_100} {
		l.add(history.Fault, ms(at), func(e *history.Event) {
			e.Step, e.Reason, e.Wire, e.Value = "outage", reason, storeWire, 12
		})
	}
	l.add(history.Ended, ms(12_200), func(*history.Event) {})
}

// orders are twelve messages, one for each way to end.
func (l *log) orders() {
	order := func(n int64, key string, seq int64) message { return message{l, "orders", n, key, seq} }
	for n, told := range map[int64]history.Outcome{0: history.Ok, 1: history.Ok, 2: history.Ok,
		3: history.Ok, 4: history.Ok, 5: history.Ok, 6: history.Fail, 7: history.Ok, 8: history.Ok,
		9: history.Ok, 11: history.Ok} {
		order(n, "", -1).sent(ms(100*int(n)), told)
	}
	arrive := func(n int64, key string, seq int64, after ...int) {
		for _, a := range after {
			order(n, key, seq).stored(ms(100*int(n) + a))
		}
		order(n, key, seq).found(store, "", int64(len(after)))
	}
	arrive(0, "a", 0, 10)
	arrive(1, "a", 1, 200) // after 2, which is later: reordered
	arrive(2, "a", 2, 20)
	arrive(5, "b", 0, 30, 40) // twice
	arrive(6, "b", 1, 50)     // though its producer was told no
	for _, n := range []int64{4, 11} {
		order(n, "", -1).worked(history.Attempt, ms(100*int(n)+5), history.Fail, 3, "poison")
		order(n, "", -1).worked(history.DeadLetter, ms(100*int(n)+6), history.Ok, 3, "poison")
	}
	order(4, "", -1).found("bus", deadChannel, 1) // 11 is not there
	order(7, "", -1).worked(history.Filter, ms(705), history.None, 0, "")
	order(8, "", -1).worked(history.Expire, ms(805), history.None, 0, "")
	order(9, "", -1).worked(history.Receive, ms(11_800), history.None, 0, "") // in flight
	order(10, "", -1).found(store, "", 1)                                     // never sent
}

// pulses are ten a second; from 3 s to 4.2 s they are refused: one of the first bucket after the heal, which
// lasts until 4.6 s.
func (l *log) pulses() {
	for n := range 100 {
		m, at := message{l, "pulse", int64(n), "p", int64(n)}, ms(100*n)
		if n >= 30 && n < 42 {
			m.sent(at, history.Fail)
			continue
		}
		m.sent(at, history.Ok)
		m.stored(at + ms(10))
		m.found(store, "", 1)
	}
}

// echoes are born of pulses, one of each; of those from 3 s to 6.1 s none is. Beside the 24 of the steady
// phase that is no chance from 19 pulses on: in the fourth bucket after the heal.
func (l *log) echoes() {
	born := int64(0)
	for n := range 100 {
		if n >= 30 && n < 61 {
			continue
		}
		m, at := message{l, "echo", born, "e", born}, ms(100*n+20)
		m.add(history.Derive, at, history.None, func(e *history.Event) {
			e.Node, e.Handler, e.Step, e.ParentFlow, e.Parent = worker, "in", "store db", "pulse", int64(n)
		})
		m.stored(at + ms(10))
		m.found(store, "", 1)
		born++
	}
}

// beats are five a second; those of 4 s to 4.4 s arrive together at 4.65 s, in time and not too many: the
// first bucket after the heal, until 4.6 s, has messages that wait all along and none that arrives.
func (l *log) beats() {
	for n := range 50 {
		m, at := message{l, "beat", int64(n), "b", int64(n)}, ms(200*n)
		m.sent(at, history.Ok)
		if n >= 20 && n < 23 {
			m.stored(ms(4_650))
		} else {
			m.stored(at + ms(10))
		}
		m.found(store, "", 1)
	}
}

// run is the folder of a run of which the judge says what is in testdata/result.json.
func run(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"plan.json", "result.json", "scenario.yaml"} {
		src, err := os.ReadFile(filepath.Join("testdata", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), src, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var l log
	l.phases()
	l.orders()
	l.pulses()
	l.echoes()
	l.beats()
	slices.SortStableFunc(l, func(a, b history.Event) int { return cmp.Compare(a.At, b.At) })
	if err := write(filepath.Join(dir, "history"), l); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(dir string, events []history.Event) error {
	if err := history.Prepare(dir); err != nil {
		return err
	}
	w, err := history.Create(history.SegmentPath(dir, 1))
	if err != nil {
		return err
	}
	for i := range events {
		if err := w.Write(&events[i]); err != nil {
			return err
		}
	}
	return errors.Join(w.Seal(), history.Compact(dir))
}

// seen looks at the files that a Python will read, so that a change of them is not taken for a test
// that has run.
func seen(t *testing.T, pattern string) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("files %q: %v, %v", pattern, paths, err)
	}
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			t.Fatal(err)
		}
	}
}

// opinion runs the second opinion on folders: its exit code, and what it said of differences.
func opinion(t *testing.T, python string, folders ...string) (code int, differences string) {
	t.Helper()
	seen(t, "*.py")
	seen(t, "*.sql")
	command := exec.Command(python, append([]string{"secondopinion.py"}, folders...)...)
	var errs strings.Builder
	command.Stderr = &errs
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), errs.String()
}

func TestTheSQLCountsWhatIsCountedByHand(t *testing.T) {
	python := duckdb(t)
	if code, differences := opinion(t, python, run(t)); code != 0 {
		t.Errorf("exit code %d:\n%s", code, differences)
	}
}

func TestAValueThatNoJudgeGivesIsNotRead(t *testing.T) {
	python, dir := duckdb(t), run(t)
	path := filepath.Join(dir, "result.json")
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	strange := strings.Replace(string(src), `"value": "untested"`, `"value": "perhaps"`, 1)
	if err := os.WriteFile(path, []byte(strange), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, errs := opinion(t, python, dir); code != 2 || !strings.Contains(errs, "perhaps") {
		t.Errorf("exit code %d, want 2 for the value:\n%s", code, errs)
	}
}

// Each figure that the judge gives is changed, alone: one line must be about it.
func TestAJudgeThatSaysSomethingElseIsNoticed(t *testing.T) {
	python, honest := duckdb(t), run(t)
	src, err := os.ReadFile(filepath.Join(honest, "result.json"))
	if err != nil {
		t.Fatal(err)
	}
	all, top := lies(t, src), t.TempDir()
	var folders []string
	for i, lie := range all {
		dir := filepath.Join(top, fmt.Sprintf("lie-%d", i))
		err := errors.Join(os.CopyFS(dir, os.DirFS(honest)), os.WriteFile(
			filepath.Join(dir, "result.json"), lie.result, 0o600))
		if err != nil {
			t.Fatal(err)
		}
		folders = append(folders, dir)
	}
	code, differences := opinion(t, python, folders...)
	if code != 1 {
		t.Errorf("exit code %d, want 1:\n%s", code, differences)
	}
	for i, lie := range all {
		mark := fmt.Sprintf("second opinion: lie-%d: ", i)
		if strings.Count(differences, mark) != 1 || !strings.Contains(differences, mark+lie.about) {
			t.Errorf("lie about %q: want one line about it in\n%s", lie.about, differences)
		}
	}
}

// lie is a result in which one thing is wrong.
type lie struct {
	about  string
	result []byte
}

func lies(t *testing.T, src []byte) (all []lie) {
	t.Helper()
	var result struct {
		Shed     int              `json:"events_shed"`
		Flows    []map[string]any `json:"flows"`
		Verdicts []struct {
			Name      string           `json:"name"`
			Property  string           `json:"property"`
			Flow      string           `json:"flow"`
			Value     string           `json:"value"`
			Figures   []map[string]any `json:"figures"`
			Anomalies []map[string]any `json:"anomalies"`
		} `json:"verdicts"`
	}
	if err := json.Unmarshal(src, &result); err != nil {
		t.Fatal(err)
	}
	tell := func(about string, of map[string]any, key string, by float64) {
		was := of[key].(float64)
		of[key] = was + by
		out, err := json.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		of[key] = was
		all = append(all, lie{about, out})
	}
	tell("orders accepted", result.Flows[0], "accepted", 1)
	sink := result.Flows[0]["sinks"].([]any)[0].(map[string]any)
	for _, key := range []string{"arrived", "p50_ns", "p99_ns", "max_ns"} {
		tell("orders to db "+key, sink, key, 2_000)
	}
	for _, v := range result.Verdicts {
		for _, f := range v.Figures {
			tell(fmt.Sprintf("%s %s", v.Name, f["name"]), f, "value", 1)
		}
		for _, a := range v.Anomalies {
			tell(fmt.Sprintf("%s %s", v.Name, a["kind"]), a, "message", 50)
		}
	}
	return all
}
