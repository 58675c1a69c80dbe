// Package assertions judges a history: each checker reads events and gives a verdict.
//
// It is the check step of load → plan → run → check → report. Checkers are pure: no clock, no
// network, no randomness, nothing of the runner or the simulators, so a saved run gets the same
// verdicts on any machine, for ever. A checker that panics yields unknown, never valid.
package assertions

import (
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
)

// Value is a verdict's value.
type Value string

// The values. Valid needs evidence; without it a verdict is unknown. Untested is a promise that the run
// kept without ever being asked to: there was no failure for a breaker to see, nothing to dead-letter.
const (
	Valid    Value = "valid"
	Invalid  Value = "invalid"
	Unknown  Value = "unknown"
	Untested Value = "untested"
)

// Checker judges one property. Observe is called once for each event, in time order, then Verdict
// once. A checker owns its state and is used for one history only.
type Checker interface {
	Observe(e *history.Event)
	Verdict() Verdict
}

// Verdict is a checker's answer, with its evidence.
type Verdict struct {
	Name      string    `json:"name"`                // as the user wrote it: "isolation", "delivery[telemetry]"
	Property  string    `json:"property"`            // "delivery", "order", "retry" …
	Flow      string    `json:"flow,omitempty"`      // "" for the whole system
	Value     Value     `json:"value"`               //
	Summary   string    `json:"summary"`             // one line, with the deciding figures
	Unknown   string    `json:"unknown,omitempty"`   // what would make an unknown known
	Untested  string    `json:"untested,omitempty"`  // what would put an untested promise to the test
	Anomalies []Anomaly `json:"anomalies,omitempty"` // at most 10
	More      int       `json:"more,omitempty"`      // anomalies beyond those shown
	Figures   []Figure  `json:"figures,omitempty"`   // evidence, in a fixed order
	Engines   []string  `json:"engines,omitempty"`   // "kafka: kfake (imitation)": what the verdict stands on
}

// Figure is one measured number of a verdict.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"` // "messages", "ns", "ratio" …
}

// Anomaly is one counterexample: what went wrong, with which message, shown by which events.
type Anomaly struct {
	Kind    string          `json:"kind"` // "lost", "duplicated", "late", "leaked", "over-retried" …
	Flow    string          `json:"flow,omitempty"`
	Message int64           `json:"message"`         // −1 when no single message is meant
	Where   string          `json:"where,omitempty"` // node, wire, channel or handler
	Text    string          `json:"text"`
	Events  []history.Event `json:"events,omitempty"` // in time order, at most 20
}

// Window is a span of a run, from its beginning; To is exclusive.
type Window struct{ From, To time.Duration }
