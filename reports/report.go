// Package reports turns verdicts and a history's figures into text, JSON, JUnit and Markdown.
//
// It is the last of load → plan → run → check → report. Every format is a function of a writer and
// a Report, nothing else: no clock, no network, no files, nothing of the runner or simulators.
// Messages are data wherever they are shown: control characters and markup in them are escaped.
package reports

import (
	"fmt"
	"time"

	"github.com/faultline-sim/faultline/assertions"
)

// Format is the version of result.json. A reader refuses a higher one.
const Format = 1

// Report is all that is told of one judged run. The zero value is an empty report. Durations are
// nanoseconds in JSON, with the unit in the name; times count from the beginning of the run.
type Report struct {
	Format      int                  `json:"format"`
	Faultline   string               `json:"faultline"` // version of the program that judged
	Scenario    string               `json:"scenario"`
	Description string               `json:"description,omitempty"`
	Topology    string               `json:"topology"`
	File        string               `json:"file"` // the scenario's file as it was named
	Seed        uint64               `json:"seed"`
	Run         string               `json:"run"` // the run folder's name
	Value       assertions.Value     `json:"verdict"`
	Stopped     string               `json:"stopped,omitempty"` // why the run ended early
	Verdicts    []assertions.Verdict `json:"verdicts"`
	Faults      []Fault              `json:"faults"`
	Flows       []Flow               `json:"flows"`
	Phases      []Phase              `json:"phases"`
	Engines     []Engine             `json:"engines"`
	Usage       []Usage              `json:"usage,omitempty"` // of nodes whose use can be told
	Suspects    []Suspect            `json:"diagnosis"`
	Nodes       []string             `json:"nodes,omitempty"`                  // full names of all nodes
	Predicted   map[string][]string  `json:"predicted_blast_radius,omitempty"` // by fault
	Wires       int                  `json:"wires"`
	Messages    int64                `json:"messages"`
	Events      int64                `json:"events"`
	Shed        int64                `json:"events_shed"`
	Took        time.Duration        `json:"duration_ns"`
	Clock       *Clock               `json:"clock,omitempty"`     // nil for a run of before there was a choice
	Transport   string               `json:"transport,omitempty"` // of wires whose ends are both in the process
	Repeat      string               `json:"repeat"`              // the command that runs it again
	Folder      string               `json:"-"`                   // where the run's files are, "" for none
}

// Clock is by what time the run went.
type Clock struct {
	Time  string `json:"time"`            // "virtual" or "real"
	Why   string `json:"why,omitempty"`   // why it was real where virtual was wished for
	Worth string `json:"worth,omitempty"` // what a verdict by it is worth, where that is less than by the machine's
	// Digest is the SHA-256 of the history's events, in hexadecimal; the same for the same program, file
	// and seed. Only in virtual time.
	Digest string `json:"digest,omitempty"`
}

// Fault is one fault of the timeline and what it did.
type Fault struct {
	Name string        `json:"name"`
	What string        `json:"what"` // kind, numbers and targets
	From time.Duration `json:"from_ns"`
	To   time.Duration `json:"to_ns"` // −1 when it was not healed
	Bite int64         `json:"bite"`  // flow messages touched
}

// Flow is what became of one flow's messages.
type Flow struct {
	Name  string `json:"name"`
	Asked int64  `json:"asked"` // by the plan; 0 for derived flows
	Sent  int64  `json:"sent"`
	Ok    int64  `json:"accepted"` // answered ok to their producer
	Sinks []Sink `json:"sinks"`
}

// Sink is how a flow's messages arrived at one sink. Latency counts from the intended send time.
type Sink struct {
	Node    string        `json:"node"`
	Arrived int64         `json:"arrived"`
	P50     time.Duration `json:"p50_ns"`
	P99     time.Duration `json:"p99_ns"`
	Max     time.Duration `json:"max_ns"`
	SLO     string        `json:"slo,omitempty"`        // as declared: "99.9% within 500ms"
	Broken  bool          `json:"slo_broken,omitempty"` // by messages that no fault may hurt
}

// Phase is a span of the run as it was.
type Phase struct {
	Name string        `json:"name"`
	From time.Duration `json:"from_ns"`
	To   time.Duration `json:"to_ns"`
}

// Engine is what stood behind a broker or store, and what a verdict on it is worth.
type Engine struct {
	Node      string `json:"node"`
	Set       string `json:"set,omitempty"` // "embedded" or "container"
	Name      string `json:"name"`
	Version   string `json:"version"`
	Imitation bool   `json:"imitation"`
	Worth     string `json:"worth"`
}

// Usage is the most that a node used of the machine.
type Usage struct {
	Node       string `json:"node"`
	PeakCPU    int64  `json:"peak_cpu_permille"` // of one core, over about a second
	PeakMemory int64  `json:"peak_memory_bytes"`
}

// Suspect is the wire or node most likely at fault, from the history alone.
type Suspect struct {
	Where    string  `json:"where"` // a wire "a -> b" or a node
	Score    float64 `json:"score"`
	Evidence string  `json:"evidence"`
}

// Overall is the value of a whole set of verdicts: invalid when any is, else unknown when any is,
// else valid. What was never put to the test changes nothing. No verdict at all is unknown.
func Overall(verdicts []assertions.Verdict) assertions.Value {
	value := assertions.Valid
	for _, v := range verdicts {
		switch v.Value {
		case assertions.Invalid:
			return assertions.Invalid
		case assertions.Valid, assertions.Untested:
		default:
			value = assertions.Unknown
		}
	}
	if len(verdicts) == 0 {
		return assertions.Unknown
	}
	return value
}

// Counts are how many verdicts have each value; one without a value is unknown.
type Counts struct{ Valid, Invalid, Unknown, Untested int }

// CountsOf counts verdicts by their value.
func CountsOf(verdicts []assertions.Verdict) (c Counts) {
	for _, v := range verdicts {
		switch v.Value {
		case assertions.Valid:
			c.Valid++
		case assertions.Invalid:
			c.Invalid++
		case assertions.Untested:
			c.Untested++
		default:
			c.Unknown++
		}
	}
	return c
}

// Seconds is a time of the run for people: seconds with milliseconds, "–" for none.
func Seconds(d time.Duration) string {
	if d < 0 {
		return "–"
	}
	return fmt.Sprintf("%.3fs", d.Seconds())
}
