package spec

import (
	"time"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

func handlerField(doc string) field {
	return field{name: "handler", shape: "handler", needed: true, doc: doc, read: (*reader).handler}
}

// placed names a check by its word and the short name of its handler.
func placed(c assertions.Check, a args, names Names) []assertions.Check {
	subject := names.Short(a.node) + "." + a.handler
	if a.step != "" {
		subject += "/" + a.step
	}
	c.Name = c.Property + "[" + subject + "]"
	return []assertions.Check{c}
}

// span reads a duration into a field of args.
func span(to func(*args) *time.Duration) func(*reader, yamlpos.Value) {
	return func(r *reader, v yamlpos.Value) { *to(&r.args) = v.Duration() }
}

func policyWords() []word {
	return []word{retryWord(), deadLetterWord(), breakerWord(), bulkheadWord(), ttlWord()}
}

func retryWord() word {
	return word{
		name: "retry",
		definition: "Per (delivery, handler, step): tries do not exceed the declared limit, the " +
			"first one counted; the pause from one failure's end to the next start lies in the " +
			"declared backoff with its jitter, plus the tolerance and the harness's own " +
			"scheduling delay, an open breaker or a fault on the node aside; nothing is tried " +
			"again after success or a permanent reason. Tries ÷ messages on each wire stay " +
			"within amplification, over the messages of each fault and of the worst 5 s (20 messages " +
			"at least). Retries of many messages, and reconnects of many members of a fleet, that " +
			"failed together do not herd: no more of them begin in one instant than the declared " +
			"jitter explains. Redelivery by the broker is counted apart; where it dead-letters " +
			"by itself no delivery is above its limit. Tries that wait in a retry channel are counted " +
			"per (message, handler), and no pause there is too long.",
		needs: "a try that failed; without one it is untested",
		anomalies: []string{"over-retried", "short-gap", "long-gap", "after-success",
			"after-permanent", "over-delivered", "amplified", "herd"},
		fields: []field{
			handlerField("node.handler whose policies are judged, steps included"),
			{name: "amplification", shape: "ratio", doc: "tries ÷ messages on each wire, in a fault or in 5 s, at most",
				preset: "no bound",
				read: func(r *reader, v yamlpos.Value) {
					r.args.amplification = v.Float(1,
						1e6)
				}},
			{name: "tolerance", shape: "duration",
				doc: "how much longer than declared a pause may be", preset: "250ms",
				read: span(func(a *args) *time.Duration { return &a.tolerance })},
			nameField(),
		},
		example: "- retry: {handler: worker1.records, amplification: 1.5}",
		checks: func(a args, names Names) []assertions.Check {
			return placed(assertions.Retry(assertions.RetryParams{Node: a.node, Handler: a.handler,
				Amplification: a.amplification, Tolerance: a.tolerance}), a, names)
		},
	}
}

func deadLetterWord() word {
	return word{
		name: "dead_letter",
		definition: "Every message whose attempts were used up, or that was refused as " +
			"permanent, is found in the dead-letter channel, and nothing else is; twice only " +
			"beside a crash, an unanswered publish or a redrive; after exactly the declared " +
			"attempts, with its reason; a redriven message completes.",
		needs: "a message that failed for good, or was found there, and a run that reached its end; " +
			"without such a message it is untested",
		anomalies: []string{"missing", "undue", "twice", "too-early", "over-retried", "unlabelled",
			"redrive-incomplete", "wrong-count"},
		fields: []field{
			{name: "channel", shape: "channel", doc: "the dead-letter channel", needed: true,
				read: (*reader).channel},
			{name: "count", shape: "count", doc: "different messages there, exactly",
				preset: "no bound",
				read:   func(r *reader, v yamlpos.Value) { r.args.count = v.Int(0, 1<<31-1) }},
			{name: "at_least", shape: "count", doc: "different messages there, at least",
				preset: "no bound",
				read:   func(r *reader, v yamlpos.Value) { r.args.atLeast = v.Int(0, 1<<31-1) }},
			nameField(),
		},
		example: "- dead_letter: {channel: stream/events.dead, count: 3}",
		checks: func(a args, names Names) []assertions.Check {
			c := assertions.DeadLetter(assertions.DeadLetterParams{Channel: a.channel,
				Exactly: a.count,
				AtLeast: a.atLeast})
			c.Name = c.Property + "[" + shortRef(a.channel, names) + "]"
			return []assertions.Check{c}
		},
	}
}

func breakerWord() word {
	return word{
		name: "breaker",
		definition: "After the declared number of transient failures in a row within the window " +
			"no further try begins until the breaker has opened; while it is open no try " +
			"begins; it stays open for the declared time before a trial; it does not open on " +
			"fewer failures.",
		needs:     "enough failures in a row to open it; without them it is untested, with opens unknown",
		anomalies: []string{"not-opened", "call-while-open", "half-open-early", "opened-early"},
		fields: []field{
			handlerField("node.handler/step that has the breaker, or node.handler for the handler's own"),
			{name: "opens", shape: "bool", doc: "the breaker must have opened", preset: "false",
				read: func(r *reader, v yamlpos.Value) { r.args.opens = v.Bool() }},
			nameField(),
		},
		example: "- breaker: {handler: \"worker1.records/call data_api\", opens: true}",
		checks: func(a args, names Names) []assertions.Check {
			return placed(assertions.Breaker(assertions.BreakerParams{Node: a.node,
				Handler: a.handler,
				Step:    a.step, Opens: a.opens}), a, names)
		},
	}
}

func bulkheadWord() word {
	return word{
		name: "bulkhead",
		definition: "Within one replica, at no time do more runs overlap than the bulkhead's " +
			"concurrent limit.",
		needs:     "as many runs at once as it allows, or a refusal; else it is untested",
		anomalies: []string{"overfull"},
		fields:    []field{handlerField("node.handler, or node.handler/step, that has the bulkhead"), nameField()},
		example:   "- bulkhead: {handler: gateway.profile}",
		checks: func(a args, names Names) []assertions.Check {
			return placed(assertions.Bulkhead(a.node, a.handler, a.step), a, names)
		},
	}
}

func ttlWord() word {
	return word{
		name: "ttl",
		definition: "A message older than the handler's TTL when it is received is expired and " +
			"not worked on, a younger one is not expired; 50 ms of tolerance on both sides.",
		needs:     "a message older than the TTL; without one it is untested",
		anomalies: []string{"handled-expired", "expired-early"},
		fields: []field{handlerField("node.handler that has the TTL, itself or by its channel"),
			nameField()},
		example: "- ttl: {handler: worker2.alerts}",
		checks: func(a args, names Names) []assertions.Check {
			return placed(assertions.TTL(a.node, a.handler), a, names)
		},
	}
}
