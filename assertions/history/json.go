package history

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// MarshalJSON is the event as it stands in Lines: the names of the Parquet columns, only what is
// set.
func (e Event) MarshalJSON() ([]byte, error) {
	var line row
	line.fill(&e, traceText(e.Trace))
	return json.Marshal(&line)
}

// UnmarshalJSON reads what MarshalJSON wrote. Words that are no kind or outcome are an error.
func (e *Event) UnmarshalJSON(src []byte) error {
	line := row{Message: -1, Parent: -1, KeySeq: -1}
	if err := json.Unmarshal(src, &line); err != nil {
		return fmt.Errorf("read event: %w", err)
	}
	read, err := line.event()
	if err != nil {
		return fmt.Errorf("read event: %w", err)
	}
	*e = read
	return nil
}

// JSONSchemaAlias is the type whose fields describe an event's JSON to a schema's reflector.
func (Event) JSONSchemaAlias() any { return row{} }

// event is the inverse of fill.
func (r *row) event() (e Event, err error) {
	kind, ok := ParseKind(r.Kind)
	if !ok {
		return e, fmt.Errorf("kind %q is not known", r.Kind)
	}
	outcome, ok := ParseOutcome(r.Outcome)
	if !ok {
		return e, fmt.Errorf("outcome %q is not known", r.Outcome)
	}
	trace, err := parseTrace(r.Trace)
	if err != nil {
		return e, err
	}
	return Event{
		At: r.AtNS, Kind: kind, Outcome: outcome,
		Node: r.Node, Replica: r.Replica, Handler: r.Handler, Step: r.Step,
		Flow: r.Flow, Message: int64(r.Message), Trace: trace,
		ParentFlow: r.ParentFlow, Parent: int64(r.Parent), Key: r.Key, KeySeq: int64(r.KeySeq),
		Wire: r.Wire, Channel: r.Channel, Partition: r.Partition, Offset: r.Offset,
		Delivery: r.Delivery, Attempt: r.Attempt, Reason: r.Reason,
		Duration: r.DurationNS, Value: r.Value,
	}, nil
}

func traceText(id [16]byte) string {
	if id == ([16]byte{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}
