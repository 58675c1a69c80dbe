package spec

import (
	"slices"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// word is one assertion: what Parse, Explain and Schema know of it.
type word struct {
	name       string
	definition string
	needs      string   // what the history must hold for valid
	anomalies  []string // the kinds it may report
	fields     []field
	example    string
	checks     func(args, Names) []assertions.Check
}

// field is one key of an assertion.
type field struct {
	name   string
	shape  string // flow, flows, fault, handler, channel, duration, share, ratio, count, bool, text
	doc    string
	preset string // the value when it is left out
	needed bool
	read   func(*reader, yamlpos.Value)
}

// Words are the names of all assertions, sorted.
func Words() []string {
	var names []string
	for _, w := range words() {
		names = append(names, w.name)
	}
	slices.Sort(names)
	return names
}

func wordOf(name string) (word, bool) {
	i := slices.IndexFunc(words(), func(w word) bool { return w.name == name })
	if i < 0 {
		return word{}, false
	}
	return words()[i], true
}

// words is the table of assertions.
func words() []word {
	return slices.Concat(messageWords(), policyWords(), faultWords(), runWords())
}

func nameField() field {
	return field{name: "name", shape: "text", doc: "what the verdict is called",
		preset: "word[subject]",
		read:   func(r *reader, v yamlpos.Value) { r.args.name = v.String() }}
}

func flowField(preset string) field {
	return field{name: "flow", shape: "flow", doc: "the flow that is judged", preset: preset,
		read: (*reader).flow}
}

const everyFlow = "every flow under load"

// perFlow makes one check for the flow given, or for every flow under load.
func perFlow(make func(flow string) assertions.Check) func(args, Names) []assertions.Check {
	return func(a args, names Names) []assertions.Check {
		if a.flow != "" {
			return []assertions.Check{make(a.flow)}
		}
		var all []assertions.Check
		for _, flow := range names.Loaded() {
			all = append(all, make(flow))
		}
		return all
	}
}

func messageWords() []word {
	return []word{
		{
			name: "delivery",
			definition: "Every message whose producer was told ok (from accepted_at on) is " +
				"found at each sink by the audit, or dead-lettered on that branch and found " +
				"there, or expired, or rightly filtered. Else it is lost; found but never sent " +
				"is unexpected; twice at a sink is duplicated where the flow promises " +
				"exactly-once. Messages still moving when the drain ends are in flight: unknown.",
			needs:     "at least one accepted message, and a run that reached its end",
			anomalies: []string{"lost", "unexpected", "duplicated"},
			fields:    []field{flowField(everyFlow), nameField()},
			example:   "- delivery: {flow: telemetry}",
			checks:    perFlow(assertions.Delivery),
		},
		sloWord(),
		{
			name: "order",
			definition: "Per key, of two messages of which the first was answered before the second was " +
				"sent, the first reaches each sink first. Redelivered copies of a message the sink has " +
				"seen, and redriven messages, stand aside and are counted.",
			needs:     "two such messages of one key under way at once; without them it is untested",
			anomalies: []string{"reordered"},
			fields:    []field{flowField(everyFlow), nameField()},
			example:   "- order: {flow: telemetry}",
			checks:    perFlow(assertions.Order),
		},
		{
			name: "trace",
			definition: "Each message that reached a sink has one connected path of hops from " +
				"its source, and one trace id all along.",
			needs:     "a message that reached a sink",
			anomalies: []string{"unconnected", "broken-trace", "untraced"},
			fields:    []field{flowField(everyFlow), nameField()},
			example:   "- trace: {flow: telemetry}",
			checks:    perFlow(assertions.Trace),
		},
		{
			name: "idempotence",
			definition: "No message is found more than once at a sink of its flow, however " +
				"often it was delivered.",
			needs:     "an effect that was found, and a message that was delivered twice; without that it is untested",
			anomalies: []string{"duplicated"},
			fields:    []field{flowField(everyFlow), nameField()},
			example:   "- idempotence: {flow: orders}",
			checks:    perFlow(assertions.Idempotence),
		},
		{
			name: "auth",
			definition: "A message that a node refused for its token reaches no sink, unless " +
				"the same node let it in later with a renewed token.",
			needs:     "as many refused messages as at_least asks for",
			anomalies: []string{"effect-behind-refusal"},
			fields: []field{
				flowField("all flows together"),
				{name: "at_least", shape: "count", doc: "messages that must have been refused",
					preset: "1",
					read: func(r *reader, v yamlpos.Value) {
						r.args.atLeast = v.Int(1,
							1<<31-1)
					}},
				nameField(),
			},
			example: "- auth: {flow: command, at_least: 10}",
			checks: func(a args, _ Names) []assertions.Check {
				return []assertions.Check{assertions.Auth(a.flow, a.atLeast)}
			},
		},
	}
}

func sloWord() word {
	return word{
		name: "slo",
		definition: "Over all messages of the flow that no fault may hurt, each sink's success share, " +
			"p50 and p99, and the reply within its time, hold. A fault may hurt what an isolation " +
			"assertion grants it: a flow of its blast radius, from the injection to the heal and the " +
			"grace time (as long as a recovery grants the flow). A fault without one may hurt nothing.",
		needs: "as many messages as each objective takes: 1/(1−s) for a share s, 100 for a p99, or 20 " +
			"that are all within it; with fewer it is untested",
		anomalies: []string{"failed", "late"},
		fields:    []field{flowField(everyFlow), nameField()},
		example:   "- slo: {flow: telemetry}",
		checks:    perFlow(assertions.SLO),
	}
}

func runWords() []word {
	whole := func(make func() assertions.Check) func(args, Names) []assertions.Check {
		return func(args, Names) []assertions.Check { return []assertions.Check{make()} }
	}
	return []word{
		{
			name: "conservation",
			definition: "Over all flows, offered = found + dead-lettered + expired + filtered + " +
				"refused + unanswered; and when the drain has ended, what is unsettled agrees " +
				"with the brokers' own depth.",
			needs:     "accepted messages, none in flight, a run that reached its end",
			anomalies: []string{"lost", "unexpected", "duplicated"},
			fields:    []field{nameField()},
			example:   "- conservation",
			checks:    whole(assertions.Conservation),
		},
		{
			name: "load",
			definition: "What the plan asks of each flow was sent, however slow the answers " +
				"were (open loop).",
			needs:     "the plan's number of messages",
			anomalies: []string{"not-sent", "unasked"},
			fields:    []field{nameField()},
			example:   "- load",
			checks:    whole(assertions.Load),
		},
		{
			name: "faults",
			definition: "Every fault of the timeline was injected and touched something. One that touched " +
				"nothing has tried nothing, and the run is unknown.",
			needs:     "a bite of every fault",
			anomalies: []string{},
			fields:    []field{nameField()},
			example:   "- faults",
			checks: func(_ args, names Names) []assertions.Check {
				return []assertions.Check{assertions.Faults(names.Faults()...)}
			},
		},
		{
			name: "steady",
			definition: "Of the messages sent in the steady phase every flow completes some and " +
				"breaks no declared SLO. If it does not hold, the run has measured nothing.",
			needs:     "a steady phase with messages",
			anomalies: []string{"failed", "late"},
			fields:    []field{nameField()},
			example:   "- steady",
			checks:    whole(assertions.Steady),
		},
	}
}
