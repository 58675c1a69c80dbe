package assertions_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
)

// This file holds the checker of recovery against the SQL of the second opinion, over the random
// histories of recovery_brute_test.go.

// unround moves what happens to messages by less than a millisecond, so that little falls on the ends
// of buckets.
func (s *sick) unround(rng *rand.Rand) {
	for i := range s.log {
		if e := &s.log[i]; e.Kind != history.Phase && e.Kind != history.Fault {
			e.At += rng.Int64N(900_000)
		}
	}
	s.log = s.log.sorted()
}

// save writes the folder of a run, as far as the second opinion reads it.
func (s *sick) save(dir string, said assertions.Verdict) error {
	plan, err1 := json.Marshal(map[string]any{"promise": s.system})
	result, err2 := json.Marshal(map[string]any{"events_shed": 0, "flows": []any{},
		"verdicts": []assertions.Verdict{said}})
	scenario := fmt.Sprintf("assert: [{recovery: {from: outage, flow: %s, hold: %v, bucket: %v}}]\n",
		s.flow, s.params.Hold, s.params.Bucket)
	events := filepath.Join(dir, "history")
	if err := errors.Join(err1, err2, os.Mkdir(dir, 0o700), history.Prepare(events)); err != nil {
		return err
	}
	w, err := history.Create(history.SegmentPath(events, 1))
	if err != nil {
		return err
	}
	for i := range s.log {
		if err := w.Write(&s.log[i]); err != nil {
			return err
		}
	}
	return errors.Join(w.Seal(), history.Compact(events),
		os.WriteFile(filepath.Join(dir, "plan.json"), plan, 0o600),
		os.WriteFile(filepath.Join(dir, "result.json"), result, 0o600),
		os.WriteFile(filepath.Join(dir, "scenario.yaml"), []byte(scenario), 0o600))
}

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

// histories is how many random ones are held against the SQL: HISTORIES, 40 where it is not set.
func histories(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("HISTORIES")
	if text == "" {
		return 40
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		t.Fatalf("HISTORIES=%q is no number of histories", text)
	}
	return n
}

// program is the second opinion. Its files are looked at here, so that a change of one is not taken
// for a test that has run.
func program(t *testing.T) string {
	t.Helper()
	paths, err := filepath.Glob("secondopinion/*.sql")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no SQL: %v", err)
	}
	script := filepath.Join("secondopinion", "secondopinion.py")
	for _, path := range append(paths, script) {
		if _, err := os.Stat(path); err != nil {
			t.Fatal(err)
		}
	}
	return script
}

// TestRecoveryBySQL wants the same three figures from both, to the nanosecond; the times of every other
// history are not round.
func TestRecoveryBySQL(t *testing.T) {
	python, n, top := duckdb(t), histories(t), t.TempDir()
	command := []string{program(t)}
	for seed := range n {
		s := random(rand.New(rand.NewPCG(seed, 1)))
		if seed%2 == 1 {
			s.unround(rand.New(rand.NewPCG(seed, 2)))
		}
		said := assertions.Judge(s.log.events(), []assertions.Check{assertions.Recovery(s.params)},
			assertions.Context{Topology: s.system})[0]
		dir := filepath.Join(top, fmt.Sprintf("seed-%d", seed))
		if err := s.save(dir, said); err != nil {
			t.Fatal(err)
		}
		command = append(command, dir)
	}
	out, err := exec.Command(python, command...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	if measured := strings.Count(string(out), " 3 figures\n"); uint64(measured) < n*9/10 {
		t.Errorf("only %d of %d histories were compared:\n%s", measured, n, out)
	}
}
