package reports

import (
	"encoding/json"
	"reflect"

	"github.com/invopop/jsonschema"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
)

// Schema is the JSON Schema of result.json.
func Schema() ([]byte, error) {
	reflector := jsonschema.Reflector{
		ExpandedStruct: true, AllowAdditionalProperties: true,
		Namer: typeName, LookupComment: meaning,
	}
	s := reflector.Reflect(&Report{})
	s.Title = "Faultline result"
	s.Description = "One judged run. Names that end in _ns are durations, or times since the " +
		"run began, in nanoseconds; −1 is a time that did not come."
	for _, place := range [][2]string{{"", "verdict"}, {"Verdict", "value"}} {
		of := s
		if place[0] != "" {
			of = s.Definitions[place[0]]
		}
		value, _ := of.Properties.Get(place[1])
		value.Enum = []any{assertions.Valid, assertions.Invalid, assertions.Unknown,
			assertions.Untested}
	}
	return json.MarshalIndent(s, "", "  ")
}

// event is the type that describes an event's JSON.
var event = reflect.TypeOf(history.Event{}.JSONSchemaAlias())

func typeName(t reflect.Type) string {
	if t == event {
		return "Event"
	}
	return ""
}

// meaning is what a type or one of its fields means, where the name alone does not say it.
func meaning(t reflect.Type, field string) string {
	if field != "" {
		return meanings[typeWord(t)+"."+field]
	}
	return meanings[typeWord(t)]
}

func typeWord(t reflect.Type) string {
	if name := typeName(t); name != "" {
		return name
	}
	return t.Name()
}

var meanings = map[string]string{
	"Report.Format":    "version of this format; a reader refuses a higher one",
	"Report.Faultline": "version of the program that ran it",
	"Report.File":      "the scenario's file as it was named",
	"Report.Run":       "name of the run's folder",
	"Report.Value": "invalid when any verdict is, else unknown when any is or there is " +
		"none, else valid; what was untested changes nothing",
	"Report.Stopped": "why the run ended early",
	"Report.Suspects": "the wires and nodes most likely at fault, from the history alone, the " +
		"likeliest first",
	"Report.Predicted":  "by fault, the flows that the graph says it may hurt",
	"Report.Nodes":      "full names of all nodes",
	"Report.Wires":      "connections, each behind a proxy of its own",
	"Report.Messages":   "messages that were sent",
	"Report.Events":     "rows of the history",
	"Report.Shed":       "events that the recorder had to drop",
	"Report.Repeat":     "the command that runs it again",
	"Report.Clock":      "by what time the run went",
	"Report.Transport":  "of wires whose ends are both in the process: tcp, memory or virtual",
	"Clock.Time":        "virtual or real",
	"Clock.Why":         "why it was real where virtual was wished for",
	"Clock.Worth":       "what a verdict by it is worth, where that is less than by the machine's clock",
	"Clock.Digest":      "SHA-256 of the history's events; the same for the same program, file and seed",
	"Verdict":           "the answer to one assertion, with its evidence",
	"Verdict.Property":  "delivery, order, retry …",
	"Verdict.Flow":      "the flow that is judged; not there for the whole system",
	"Verdict.Summary":   "one line with the deciding figures",
	"Verdict.Unknown":   "what would make an unknown known",
	"Verdict.Untested":  "what would put an untested promise to the test",
	"Sink.Broken":       "the SLO is broken by messages that no fault may hurt",
	"Verdict.Anomalies": "counterexamples, ten at most",
	"Verdict.More":      "counterexamples beyond those",
	"Verdict.Engines":   "what the verdict stands on",
	"Figure.Unit":       "messages, ns, ratio …",
	"Anomaly":           "one counterexample",
	"Anomaly.Kind":      "lost, duplicated, unexpected, reordered, late, leaked, over-retried …",
	"Anomaly.Message":   "number of the message within its flow; −1 when no single one is meant",
	"Anomaly.Where":     "node, wire, channel or handler",
	"Anomaly.Events":    "the events that show it, in time order, 20 at most",
	"Event":             "a row of the history; what is not set is not there",
	"Fault.What":        "kind, numbers and targets",
	"Fault.To":          "−1 when it was not healed",
	"Fault.Bite":        "flow messages that it touched",
	"Flow.Asked":        "messages that the plan asked for; 0 for derived flows",
	"Flow.Ok":           "messages whose producer was told ok",
	"Sink.P50":          "from the intended send time to the arrival, as p99_ns and max_ns",
	"Sink.SLO":          "as declared",
	"Engine.Imitation": "it imitates the real engine's protocol and does not vouch for its " +
		"durability",
	"Engine.Set":    "embedded (in the process) or container",
	"Report.Usage":  "the most that nodes used of the machine, where it can be told: containers",
	"Usage.PeakCPU": "thousandths of one core, over about a second",
	"Engine.Worth":  "what a verdict on it is worth",
	"Suspect.Where": "a wire \"a -> b\" or a node",
}
