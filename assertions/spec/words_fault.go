package spec

import (
	"time"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

func faultField(name, doc string) field {
	return field{name: name, shape: "fault", doc: doc, needed: true, read: (*reader).fault}
}

func faultWords() []word { return []word{isolationWord(), recoveryWord()} }

func isolationWord() word {
	return word{
		name: "isolation",
		definition: "From the fault's injection to its heal and the grace time, each flow " +
			"outside the declared blast radius keeps its SLO, completes no smaller a share than " +
			"in its own steady phase (tolerance) and has a p99 of at most slower times its " +
			"steady p99 and one second more. A derived flow counts from its parent's send, and has " +
			"the births that it is owed at its steady rate. Declared, predicted and measured blast " +
			"radius stand side by side.",
		needs: "a fault that bit, and enough messages of each flow that is judged: for its SLO " +
			"1/(1−s) for a share s (99.9 % needs 1000), 100 for a p99, or 20 that are all within it; " +
			"without one 20 in the steady phase and 20 in the fault's window, or 20 there that all do well",
		anomalies: []string{"leaked"},
		fields: []field{
			faultField("during", "the fault"),
			{name: "blast_radius", shape: "flows", doc: "flows that the fault may hurt",
				preset: "what the graph predicts", read: (*reader).blastRadius},
			{name: "flows", shape: "flows", doc: "flows that are judged",
				preset: "all outside the blast radius", read: (*reader).flows},
			{name: "grace", shape: "duration", doc: "time after the heal that counts as well",
				preset: "2s",
				read:   span(func(a *args) *time.Duration { return &a.grace })},
			{name: "tolerance", shape: "share",
				doc:    "share of its messages that a flow may lose against its steady state",
				preset: "1%", read: func(r *reader, v yamlpos.Value) { r.args.share = v.Share() }},
			{name: "slower", shape: "ratio", doc: "times its steady p99 that a flow's p99 may be",
				preset: "5",
				read:   func(r *reader, v yamlpos.Value) { r.args.slower = v.Float(1, 1e6) }},
			nameField(),
		},
		example: "- isolation: {during: outage, blast_radius: [partner], flows: [telemetry]}",
		checks: func(a args, _ Names) []assertions.Check {
			return []assertions.Check{assertions.Isolation(assertions.IsolationParams{
				During: a.fault, BlastRadius: a.blastRadius, Predicted: !a.blastRadiusGiven,
				Flows: a.flows, Grace: a.grace, Tolerance: a.share, Slower: a.slower})}
		},
	}
}

func recoveryParams(a args) assertions.RecoveryParams {
	return assertions.RecoveryParams{From: a.fault, Flow: a.flow, Within: a.within, Hold: a.hold,
		Bucket: a.bucket}
}

func recoveryWord() word {
	flow := flowField("")
	flow.needed = true
	return word{
		name: "recovery",
		definition: "The time from the fault's heal until the flow is well, and stays so for the " +
			"hold time and for at least 20 messages. In buckets from the heal on, by the time at " +
			"which messages were due (a derived one with its parent): completed ÷ offered is back at " +
			"its steady value, something arrives where something waits, no more than 1 % of the last " +
			"100 messages is over the p99 (without one: 5 times the steady p99 and one second), and a " +
			"derived flow has the births that it is owed at its steady rate. The backlog, from exact " +
			"times, is within its steady bound: half as much again as its steady maximum, and what " +
			"comes in one bucket. First success is not recovery.",
		needs: "a fault that bit and healed, load for within + hold after the heal, and 20 messages " +
			"from the recovery on",
		anomalies: []string{"late-recovery"},
		fields: []field{
			faultField("from", "the fault whose heal the time counts from"),
			flow,
			{name: "within", shape: "duration", doc: "the longest it may take", preset: "5s",
				read: span(func(a *args) *time.Duration { return &a.within })},
			{name: "hold", shape: "duration", doc: "how long it must stay well", preset: "2s",
				read: span(func(a *args) *time.Duration { return &a.hold })},
			{name: "bucket", shape: "duration", doc: "over which shares and latencies are taken",
				preset: "500ms",
				read: func(r *reader, v yamlpos.Value) {
					if r.args.bucket = v.Duration(); r.args.bucket < 10*time.Millisecond {
						v.Errorf("out-of-range", "%v is too short a bucket, at least 10ms",
							r.args.bucket)
						r.failed = true
					}
				}},
			nameField(),
		},
		example: "- recovery: {from: outage, flow: partner, within: 5s, hold: 2s}",
		checks: func(a args, _ Names) []assertions.Check {
			return []assertions.Check{assertions.Recovery(recoveryParams(a))}
		},
	}
}
