package topology

import "slices"

// vocabulary is every object of the topology's YAML, in the order in which a reader meets them.
func vocabulary() []object {
	return slices.Concat(fileObjects(), nodeObjects(), ownObjects(), flowObjects(), handlerFields(),
		localSteps(), farSteps(), policyObjects())
}

// fileObjects are the file as a whole.
func fileObjects() []object {
	return []object{
		{"topology", "at the top of the file", []field{
			{"topology", text("a text"),
				"the system's name",
				"topology: iot-platform"},
			{"drawing", text("a path"),
				"the D2 file, or Markdown file with a fenced d2 block, that draws the system; " +
					"relative to this file",
				"drawing: iot-platform.d2"},
			{"nodes", orNothing(mapOf(ref("box", "a node"),
				"names with a node, or with children that refine a drawn box")),
				"the boxes of the drawing and what they are; a drawn box that is not listed is a " +
					"service",
				"nodes: {device.hw: {kind: fleet, count: 200}}"},
			{"policies", orNothing(mapOf(ref("policy", "policies"), "names with policies")),
				"policies by name, to be used with use: NAME",
				"policies: {api-call: {timeout: 300ms}}"},
			{"channels", orNothing(mapOf(orNothing(ref("channel", "a channel")),
				"broker/channel with its fields")),
				"what is declared about channels; those that flows and steps use exist without " +
					"being listed",
				"channels: {stream/events: {parallel: 6, key: device}}"},
			{"flows", orNothing(mapOf(ref("flow", "a flow"), "names with a flow")),
				"the business paths through the system",
				"flows: {telemetry: {path: device.hw -> mqtt/telemetry/:id -> worker -> " +
					"datalake}}"},
		}},
	}
}

// nodeObjects are nodes, their sessions and what they send.
func nodeObjects() []object {
	return []object{
		{"node", "on a node", nodeVocabulary()},
		{"session", "under session", []field{
			{"clean", truth(),
				"true forgets subscriptions and queued messages at each connect",
				"clean: false"},
			{"keep_alive", duration(),
				"how often an idle connection says that it is alive; default 30s",
				"keep_alive: 30s"},
			{"reconnect", orNone(ref("backoff", "a backoff")),
				"the pause between two tries to connect; default 100ms, doubled up to 5s, spread " +
					"by half",
				"reconnect: {initial: 100ms, factor: 2, max: 5s, jitter: 0.5}"},
			{"connect_rate", orNone(rate()),
				"how many members of the fleet may begin a connect in one second while " +
					"reconnecting, and how many a login, at least 1/s; default as many as there are",
				"connect_rate: 50/s"},
			{"inflight", whole(1, maxCount),
				"unacknowledged messages a member keeps, buffered while disconnected; default 100",
				"inflight: 100"},
		}},
		{"send", "on a send", []field{
			{"to", text("broker/channel, or service METHOD /path"),
				"where the messages go",
				"to: mqtt/telemetry/:id"},
			{"qos", whole(0, 2),
				"MQTT's quality of service; default 1",
				"qos: 1"},
			{"body", mapOf(text("an expression"), "fields with an expression each"),
				"the message's JSON body, each field an expression over id, seq, now and subject",
				"body: {device: id, temp: \"normal(60, 10)\"}"},
			{"subject", text("an expression"),
				"whom the message is for; default the member's own id",
				"subject: member(\"device.hw\")"},
		}},
	}
}

// flowObjects are channels and flows.
func flowObjects() []object {
	return []object{
		{"channel", "on a channel", []field{
			{"parallel", whole(1, maxParallel),
				"parts that keep their order each: partitions, shards, queues, subjects; default 6 on " +
					"kafka, 1 elsewhere",
				"parallel: 6"},
			{"key", text("the name of a body field"),
				"the body field whose values keep their order in the channel",
				"key: device"},
			{"ttl", orNone(span()),
				"age after which a message is expired rather than handled",
				"ttl: 30s"},
			{"priority", text("the name of a body field"),
				"the body field whose whole number, 0 to 9, lets a message overtake less urgent ones",
				"priority: urgency"},
			{"durable", truth(),
				"false: messages are not kept, who does not listen misses them; default true",
				"durable: false"},
			{"dead_letter", orNone(ref("dead_letter", "attempts and channel")),
				"dead-lettering of every handler that takes messages from the channel and " +
					"declares none of its own",
				"dead_letter: {attempts: 5}"},
		}},
		{"flow", "on a flow", flowVocabulary()},
		{"sink", "on a sink", []field{
			{"success", share(),
				"share of the messages that must arrive",
				"success: 99.9%"},
			{"p50", span(),
				"median time from the intended send to the arrival, at most",
				"p50: 50ms"},
			{"p99", span(),
				"99th percentile of the time from the intended send to the arrival, at most",
				"p99: 500ms"},
		}},
	}
}

func nodeVocabulary() []field {
	return append(ownVocabulary(), []field{
		{"kind", oneOf(kinds...),
			"what the node is",
			"kind: service"},
		{"protocol", oneOf(slices.Concat(protocols[Broker], protocols[Store])...),
			"what a broker or a store speaks; with a program of your own, tcp is anything at all",
			"protocol: kafka"},
		{"engine", oneOf("embedded", "process", "container"),
			"what runs behind a broker or a store; default is the choice of --engines",
			"engine: embedded"},
		{"count", whole(1, maxCount),
			"members of a fleet; default 1",
			"count: 200"},
		{"replicas", whole(1, maxReplicas),
			"how often a service or a cloud runs; default 1",
			"replicas: 2"},
		{"brokers", whole(1, maxBrokers),
			"nodes of a kafka cluster; default 1",
			"brokers: 3"},
		{"login", text("a service or cloud, or none"),
			"the service that gives a fleet's members their token (POST /login)",
			"login: service_platform.auth"},
		{"authenticates", text("a service or cloud, or none"),
			"the service whose tokens are asked for at the door",
			"authenticates: service_platform.auth"},
		{"session", ref("session", "a session"),
			"how a node holds its connections",
			"session: {keep_alive: 30s}"},
		{"quota", orNone(rate()),
			"requests a cloud answers; those beyond it get 429",
			"quota: 100/s"},
		{"pool", whole(0, maxCount),
			"handler runs at once over all handlers of one replica; 0 is unbounded",
			"pool: 16"},
		{"undrawn", text("a reason"),
			"why the node, or a wire that ends here, is not in the drawing",
			"undrawn: \"metrics are not part of the system\""},
		{"handlers", mapOf(ref("handler", "a handler"), "names with a handler"),
			"what the node does; without them it gets default handlers from the flows that " +
				"pass it",
			"handlers: {records: {subscribe: stream/events, do: [{store: datalake}]}}"},
		{"sends", mapOf(ref("send", "a send"), "flows with a send"),
			"the messages the node originates",
			"sends: {telemetry: {to: mqtt/telemetry/:id, body: {temp: \"uniform(20, 90)\"}}}"},
	}...)
}

func flowVocabulary() []field {
	return []field{
		{"path", oneOrMore(text("elements with -> between them")),
			"the way of the messages: nodes, and channels as broker/channel; each further " +
				"line forks at its first node",
			"path: device.hw -> mqtt/telemetry/:id -> worker -> datalake"},
		{"key", text("the name of a body field"),
			"the body field that orders: messages of one value keep their order; without it " +
				"no order is promised",
			"key: device"},
		{"guarantee", oneOf(AtLeastOnce, ExactlyOnce, AtMostOnce),
			"what is promised for each accepted message; default at-least-once",
			"guarantee: at-least-once"},
		{"accepted_at", text("a node on the path"),
			"from here on a message is ours not to lose; default the source",
			"accepted_at: bridge"},
		{"derived_from", text("a flow"),
			"the flow whose messages give birth to this one's",
			"derived_from: telemetry"},
		{"when", text("an expression"),
			"which messages of the parent give birth to one of a derived flow",
			"when: data.temp > 80"},
		{"reply_within", span(),
			"the source gets an answer within this time",
			"reply_within: 2s"},
		{"sinks", or(listOf(text("a node"), "a list of nodes"),
			mapOf(orNothing(ref("sink", "an SLO")), "nodes with what is promised there")),
			"where the messages must end; default the ends of the path's lines",
			"sinks: {datalake: {success: 99.9%, p99: 500ms}}"},
	}
}
