package topology

import "slices"

// handlerFields are handlers and their batches.
func handlerFields() []object {
	return []object{
		{"handler", "on a handler", []field{
			{"subscribe", text("broker/channel"),
				"trigger: each message of a channel",
				"subscribe: stream/events"},
			{"http", text("METHOD /path"),
				"trigger: each request; a segment with a colon takes any text",
				"http: POST /records"},
			{"every", span(),
				"trigger: a timer",
				"every: 10s"},
			{"batch", ref("batch", "a batch"),
				"trigger: messages of a channel, gathered",
				"batch: {channel: stream/changes, size: 500, every: 500ms}"},
			{"group", text("a text"),
				"consumer group of the subscription; default the node's name",
				"group: reports"},
			{"flows", oneOrMore(text("a flow")),
				"the broker gives the handler's group messages of these flows only, where it can " +
					"filter; default all",
				"flows: [order]"},
			{"concurrency", whole(1, maxCount),
				"deliveries handled at once in each replica; default 1",
				"concurrency: 4"},
			{"order", oneOf("key", "none"),
				"key: one run at a time for each key; none: in any order",
				"order: key"},
			{"ack", oneOf("after_work", "before_work"),
				"when a delivery is given back as done; before the work, a crash loses it",
				"ack: after_work"},
			{"do", steps(),
				"the steps, one after the other",
				"do: [{work: 5ms}, {store: datalake}]"},
		}},
		{"batch", "under batch", []field{
			{"channel", text("broker/channel"),
				"where the messages come from",
				"channel: stream/changes"},
			{"size", whole(1, maxCount),
				"handle as soon as there are so many",
				"size: 500"},
			{"every", span(),
				"handle at least so often when there are any",
				"every: 500ms"},
		}},
	}
}

func steps() shape { return listOf(ref("step", "a step"), "a list of steps") }

// anyStep are the fields that every step has beside the policies.
func anyStep() []field {
	return []field{
		{"name", text("a text"),
			"the step's name, one of its own in the handler; default \"<kind> <target>\"",
			"name: to lake"},
		{"flows", oneOrMore(text("a flow")),
			"the step is for messages of these flows only; default all",
			"flows: [telemetry]"},
	}
}

// localSteps are the kinds of steps that stay at home, each with its own fields.
func localSteps() []object {
	return []object{
		{"any_step", "on any step", anyStep()},
		{"work", "a step", []field{{"work", or(span(), ref("work_time", "p50 and p99")),
			"takes time",
			"work: {p50: 2ms, p99: 20ms}"}}},
		{"work_time", "under work", []field{
			{"p50", duration(),
				"median of the time that work takes",
				"p50: 2ms"},
			{"p99", duration(),
				"99th percentile of the time that work takes; default p50",
				"p99: 20ms"}}},
		{"validate", "a step", []field{
			{"validate", or(text("JSON text"), ref("schema_of", "a schema")),
				"the body must keep to a JSON Schema; breaking it is permanent, it is never " +
					"retried",
				"validate: {schema: {type: object, required: [device]}}"}}},
		{"schema_of", "under validate", []field{
			{"schema", or(shape{"a mapping", map[string]any{"type": "object"}}, text("JSON text")),
				"a JSON Schema of the body",
				"schema: {required: [device]}"}}},
		{"when", "a step", []field{
			{"when", text("an expression"),
				"does its own steps only for messages for which the expression holds",
				"when: data.temp > 80"},
			{"do", steps(),
				"the steps of a condition",
				"do: [{publish: stream/alerts}]"},
			{"else", oneOf("filter"),
				"filter: a message for which it does not hold is rightly dropped",
				"else: filter"}}},
		{"authenticate", "a step", []field{{"authenticate", text("a service"),
			"the message's token must be a valid one of this service; else it is refused for " +
				"good",
			"authenticate: auth"}}},
		{"issue", "a step", []field{{"issue", oneOf("token"),
			"answers with a token",
			"issue: token"}}},
		{"reply", "a step", []field{{"reply", or(whole(100, 599), ref("reply_with", "a status")),
			"answers the caller",
			"reply: {status: 202}"}}},
		{"reply_with", "under reply", []field{
			{"status", whole(100, 599),
				"the answer's HTTP status; default 200",
				"status: 202"}}},
	}
}

// farSteps are the kinds of steps that talk to another node.
func farSteps() []object {
	born := []field{
		{"derive", text("a flow"),
			"the flow of the new message that is born here; without it the same message goes " +
				"on",
			"derive: alert"},
		{"subject", text("an expression"),
			"whom the new message is for",
			"subject: data.user"},
		{"key", text("an expression"),
			"the new message's ordering key",
			"key: subject"},
	}
	table := field{"table", text("a text"),
		"the table, bucket or prefix; default records",
		"table: readings"}
	return []object{
		{"call", "a step", slices.Concat([]field{{"call", text("service METHOD /path"),
			"an HTTP request to a service or cloud, its answer awaited",
			"call: data_api POST /records"}}, born)},
		{"request", "a step", slices.Concat([]field{{"request", text("broker/channel"),
			"a message over a broker, its reply awaited",
			"request: mqtt/command/:id"},
			{"reply_to", text("broker/channel"),
				"where the reply arrives; default the channel with .reply behind its first " +
					"segment",
				"reply_to: mqtt/command.reply/:id"}}, born)},
		{"publish", "a step", slices.Concat([]field{{"publish", text("broker/channel"),
			"a message to a channel",
			"publish: stream/events"}}, born)},
		{"store", "a step", []field{{"store", text("a store"),
			"writes the message, once by its id",
			"store: datalake"}, table,
			{"append", truth(),
				"a new row each time, also for an id that is there already",
				"append: true"}}},
		{"lookup", "a step", []field{{"lookup", text("a store"),
			"reads a message by id",
			"lookup: datalake"}, table}},
	}
}

// policyFields are the policies that may stand on a step, a handler, a send or under a name.
func policyFields() []field {
	return []field{
		{"use", oneOrMore(text("the name of a policy")),
			"takes named policies; own fields stand above them",
			"use: api-call"},
		{"timeout", orNone(span()),
			"bounds each attempt; none leaves it unbounded; default of a send to a broker: 5s, of " +
				"anything else none",
			"timeout: 300ms"},
		{"ttl", orNone(span()),
			"age after which a message is expired rather than handled",
			"ttl: 30s"},
		{"retry", or(whole(1, maxAttempts), orNone(ref("retry", "a retry"))),
			"bounds how often and when a failed operation is tried again; attempts counts " +
				"the first; none is one try; default of a send to a broker, unless its flow is " +
				"at-most-once: until it is answered, paused as its session reconnects",
			"retry: {attempts: 4, backoff: {initial: 50ms, factor: 2, max: 1s, jitter: 0.2}, " +
				"permanent: [4xx]}"},
		{"breaker", orNone(ref("breaker", "a breaker")),
			"opens after failures within a window, refuses or pauses while open, then lets " +
				"one trial through",
			"breaker: {failures: 5, within: 10s, open: 2s, when_open: pause}"},
		{"bulkhead", or(whole(1, maxCount), orNone(ref("bulkhead", "a bulkhead"))),
			"bounds how many operations run at once, and how many may wait",
			"bulkhead: {concurrent: 8, waiting: 16}"},
		{"rate_limit", orNone(rate()),
			"operations in a time; above it an HTTP handler answers 429",
			"rate_limit: 100/s"},
		{"fallback", orNone(text("cached, or the answer")),
			"answers in place of an operation that failed for good: cached is the last good " +
				"answer, anything else is the answer itself",
			"fallback: cached"},
		{"dedupe", or(span(), orNone(ref("dedupe", "a window"))),
			"drops a message whose id was handled within a window",
			"dedupe: {window: 10m, in: cache}"},
		{"dead_letter", orNone(ref("dead_letter", "attempts and channel")),
			"a message whose attempts are used up, or that is refused as permanent, goes to " +
				"a channel of its own",
			"dead_letter: {attempts: 5}"},
	}
}

// policyObjects are the policies' own fields.
func policyObjects() []object {
	return []object{
		{"policy", "on a step, a handler, a send or a named policy", policyFields()},
		{"retry", "under retry", []field{
			{"attempts", whole(1, maxAttempts),
				"tries in all, the first one counted",
				"attempts: 4"},
			{"backoff", or(span(), orNone(ref("backoff", "a backoff"))),
				"the pause between one failure's end and the next start",
				"backoff: {initial: 50ms, factor: 2, max: 1s, jitter: 0.2}"},
			{"permanent", oneOrMore(text("4xx, 5xx, a status, schema, auth or a reason's own word")),
				"reasons for which nothing is tried again",
				"permanent: [4xx, schema]"},
			{"channel", orNone(text("a channel of the same broker")),
				"on a handler that subscribes: where a message waits for its next attempt (a retry " +
					"topic), with its count of attempts, which no crash resets; later messages " +
					"overtake it",
				"channel: stream/events.retry"},
		}},
		{"backoff", "under backoff and reconnect", []field{
			{"initial", duration(),
				"the first pause",
				"initial: 50ms"},
			{"factor", number(1, 100),
				"each pause is so many times the one before; 1 is constant",
				"factor: 2"},
			{"max", duration(),
				"the longest pause before jitter",
				"max: 1s"},
			{"jitter", share(),
				"spreads each pause by this share of it, up and down",
				"jitter: 0.2"},
		}},
		{"breaker", "under breaker", []field{
			{"failures", whole(1, maxCount),
				"failures that open it",
				"failures: 5"},
			{"within", duration(),
				"the window in which they count",
				"within: 10s"},
			{"open", duration(),
				"how long it stays open before a trial",
				"open: 2s"},
			{"when_open", oneOf("fail", "pause"),
				"fail: refuse at once; pause: hold the delivery until the breaker lets a trial " +
					"through",
				"when_open: pause"},
		}},
		{"bulkhead", "under bulkhead", []field{
			{"concurrent", whole(1, maxCount),
				"operations at once",
				"concurrent: 8"},
			{"waiting", whole(0, maxCount),
				"operations that may wait for a place; more are refused",
				"waiting: 16"},
		}},
		{"dedupe", "under dedupe", []field{
			{"window", duration(),
				"how long an id is remembered",
				"window: 10m"},
			{"in", text("a store"),
				"the store that remembers; default the replica's own memory, which a crash " +
					"forgets",
				"in: cache"},
		}},
		{"dead_letter", "under dead_letter", []field{
			{"attempts", whole(1, maxAttempts),
				"handler attempts before a message is dead-lettered, the first one counted; " +
					"default 5",
				"attempts: 5"},
			{"channel", text("broker/channel"),
				"where it goes; default the source channel without :id, with .dead behind it",
				"channel: stream/telemetry.dead"},
			{"native", truth(),
				"true: the broker itself counts deliveries and dead-letters, where it can (see " +
					"faultline brokers); default false: the handler counts and publishes",
				"native: true"},
		}},
	}
}
