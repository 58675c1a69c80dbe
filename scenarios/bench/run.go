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
	args   string // of the test's own, "" is none
}

// benchmarks are run in this order, one at a time.
var benchmarks = []benchmark{
	{folder: "./simulators/record", name: "RecordPaced", times: "1x"},
	{folder: "./simulators/record", name: "RecordBurst", times: "3x"},
	{folder: "./assertions", name: "Judge", times: "3x"},
	{folder: "./scenarios/bench", name: "Check", times: "1x"},
	{folder: "./scenarios/bench", name: "Ready", times: "1x"},
	{folder: "./topology/wire", name: "Hop", times: "1x", args: "-transports=memory"},
	{folder: "./scenarios/bench", name: "TelemetryPaced", times: "1x"},
	{folder: "./scenarios/bench", name: "Telemetry", times: "1x"},
	{folder: "./scenarios/bench", name: "Recording", times: "1x"},
	{folder: "./scenarios/bench/virtual", name: "Pair", times: "1x"},
	{folder: "./scenarios/bench/virtual", name: "Telemetry", times: "1x"},
}

// longer are those that take minutes; they are run with -long.
var longer = []benchmark{
	{folder: "./scenarios/bench/diagnosis", name: "Diagnosis", times: "1x"},
}

// metrics are what benchmarks reported, by "Benchmark unit".
type metrics map[string]float64

// run runs one benchmark from the repository's root and reads what it reports.
func (b benchmark) run(ctx context.Context, into metrics) error {
	args := []string{"test", "-run", "^$", "-bench", "^Benchmark" + b.name + "$",
		"-benchtime", b.times, "-timeout", "40m", b.folder}
	if b.args != "" {
		args = append(args, "-args", b.args)
	}
	c := exec.CommandContext(ctx, "go", args...)
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
