package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// benchmark is one that "go test" runs, in its package's folder.
type benchmark struct {
	folder string
	name   string
	times  string // of -benchtime; those that repeat by themselves are run once
}

// benchmarks are run in this order, one at a time.
var benchmarks = []benchmark{
	{"./simulators/record", "RecordPaced", "1x"},
	{"./simulators/record", "RecordBurst", "3x"},
	{"./assertions", "Judge", "3x"},
	{"./scenarios/bench", "Check", "1x"},
	{"./scenarios/bench", "Ready", "1x"},
	{"./scenarios/bench", "TelemetryPaced", "1x"},
	{"./scenarios/bench", "Telemetry", "1x"},
	{"./scenarios/bench", "Recording", "1x"},
	{"./scenarios/bench/virtual", "Pair", "1x"},
	{"./scenarios/bench/virtual", "Telemetry", "1x"},
}

// longer are those that take minutes; they are run with -long.
var longer = []benchmark{
	{"./scenarios/bench/diagnosis", "Diagnosis", "1x"},
}

// metrics are what benchmarks reported, by "Benchmark unit".
type metrics map[string]float64

// run runs one benchmark from the repository's root and reads what it reports.
func (b benchmark) run(ctx context.Context, into metrics) error {
	c := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^Benchmark"+b.name+"$",
		"-benchtime", b.times, "-timeout", "40m", b.folder)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return fmt.Errorf("run benchmark %q of %s: %w\n%s", b.name, b.folder, err, out)
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		into.read(lines.Text())
	}
	return lines.Err()
}

// read takes a line as "go test" prints them: name, times run, then pairs of value and unit.
func (m metrics) read(line string) {
	words := strings.Fields(line)
	if len(words) < 4 || !strings.HasPrefix(words[0], "Benchmark") {
		return
	}
	name := strings.TrimPrefix(words[0], "Benchmark")
	if last := strings.LastIndex(name, "-"); last >= 0 { // the number of processors
		name = name[:last]
	}
	for i := 2; i+1 < len(words); i += 2 {
		if value, err := strconv.ParseFloat(words[i], 64); err == nil {
			m[name+" "+words[i+1]] = value
		}
	}
}

const (
	binary       = "bin/faultline"
	demoScenario = "scenarios/library/iot-platform/partner-cloud-outage.yaml"
)

// runDemo times what "make demo" does in a built tree. A verdict that is not valid is no error
// here: it is the demo's business, and the time is the same.
func runDemo(ctx context.Context) (time.Duration, error) {
	out, err := os.MkdirTemp("", "faultline-bench-")
	if err != nil {
		return 0, fmt.Errorf("make folder for the demo: %w", err)
	}
	defer os.RemoveAll(out)
	c := exec.CommandContext(ctx, binary, "run", demoScenario, "--quiet", "--out", out)
	c.Stderr = os.Stderr
	begin := time.Now()
	if err := c.Run(); err != nil && (c.ProcessState == nil || c.ProcessState.ExitCode() == 2) {
		return 0, fmt.Errorf("run the demo: %w", err)
	}
	return time.Since(begin), nil
}
