package claims

import "time"

// table has a row for each protocol. Sizes are in bytes.
func table() map[string]Broker {
	return map[string]Broker{
		"mqtt":    mqtt(),
		"kafka":   kafka(),
		"nats":    nats(),
		"amqp":    amqp(),
		"kinesis": kinesis(),
		"sqs":     sqs(),
		"sns":     sns(),
		"pubsub":  pubsub(),
	}
}

// groupsAreParallel is what to do where the broker spreads by key.
const groupsAreParallel = "take parallel away: each key is a message group, and groups are parallel " +
	"by themselves"

// handlerCounts is what to do where the broker does not dead-letter.
const handlerCounts = "leave native away, then the handler counts and publishes to the " +
	"dead-letter channel"

// whenFlow is what to do where the broker filters nothing.
const whenFlow = `begin the handler with a step {when: 'flow == "…"', else: filter}`

// lateExpiry is what to do where the broker expires no message.
const lateExpiry = "count on late expiry: consumers drop a message that is too old when they meet it"

func mqtt() Broker {
	return Broker{
		Product: "MQTT 3.1.1", Order: "topic, to one subscriber", DefaultParts: 1,
		Groups: true, FanOut: true, Redelivery: "client", MaxMessage: 1 << 20,
		Wildcards: true, Devices: true,
		Map: "a topic; a shared subscription for each group",
		Instead: map[Asked]string{
			NativeDeadLetter: handlerCounts,
			MessageFilter:    whenFlow,
			ParallelParts:    "take parallel away, or use a broker with parts, such as kafka",
		},
	}
}

func kafka() Broker {
	return Broker{
		Product: "Apache Kafka", Order: "partition of the key", KeyOrder: true,
		Parts: true, DefaultParts: 6, Groups: true, FanOut: true, Early: true, Redelivery: "client",
		AckDeadline: 1500 * time.Millisecond,
		MaxMessage:  1_000_000, Readable: true, Counted: true, Clusters: true,
		Map: "a topic with parallel partitions; a consumer group for each group",
		Instead: map[Asked]string{
			NativeDeadLetter: handlerCounts,
			MessageFilter:    whenFlow,
			MessageTTL:       lateExpiry,
		},
	}
}

func nats() Broker {
	return Broker{
		Product: "NATS JetStream", Order: "part of the key", KeyOrder: true,
		Parts: true, DefaultParts: 1, Groups: true, FanOut: true, Early: true,
		Redelivery: "broker", Counts: true,
		AckDeadline: 1500 * time.Millisecond,
		DeadLetter: "deliveries above max-deliver, or a consumer's terminate; consumers move what " +
			"the advisories name",
		DeadLetterFields: []string{"reason", "attempts", "origin", "trace"},
		Rejects:          true, TTL: "channel", LeastTTL: 100 * time.Millisecond,
		Transient: true, MaxMessage: 1_000_000, Readable: true, Counted: true,
		Map: "a stream with a subject for each parallel part; a durable consumer for each group " +
			"and part",
		MapDead: "max-deliver on the consumers; a stream of advisories, from which consumers move",
	}
}

func amqp() Broker {
	return Broker{
		Product: "RabbitMQ (AMQP 0-9-1)", Order: "queue of the key's part", KeyOrder: true,
		Parts: true, DefaultParts: 1, Groups: true, FanOut: true, Early: true,
		Redelivery: "broker", Counts: true,
		DeadLetter:       "deliveries above the queue's limit, or a consumer's reject",
		DeadLetterFields: []string{"reason", "attempts", "origin", "trace"},
		Rejects:          true, TTL: "message", LeastTTL: time.Millisecond, Priority: "0 to 9",
		Transient: true, MaxMessage: 1_000_000, Readable: true, Counted: true,
		Map: "an exchange; a durable queue for each group, one a part where there are several, " +
			"with a single active consumer where a key orders",
		MapDead: "a quorum queue with a delivery limit, and a dead-letter exchange",
	}
}

func kinesis() Broker {
	return Broker{
		Product: "Amazon Kinesis", Order: "shard of the key", KeyOrder: true,
		Parts: true, DefaultParts: 1, Groups: true, FanOut: true, Early: true,
		Redelivery: "client", AckDeadline: 1500 * time.Millisecond,
		MaxMessage: 700_000, Readable: true, Counted: true,
		Map: "a stream with a shard for each parallel part; leases and checkpoints of each group in " +
			"a table",
		Instead: map[Asked]string{
			NativeDeadLetter: handlerCounts,
			MessageFilter:    whenFlow,
			MessageTTL:       lateExpiry,
		},
	}
}

func sqs() Broker {
	return Broker{
		Product: "Amazon SQS", Order: "message group of the key", KeyOrder: true, DefaultParts: 1,
		Groups: true, Early: true, Redelivery: "broker", Counts: true,
		AckDeadline:      2 * time.Second,
		DeadLetter:       "receives above maxReceiveCount",
		DeadLetterFields: []string{"trace"},
		MaxMessage:       180_000, Readable: true, Counted: true,
		Map:     "a queue; a FIFO queue where the channel has a key",
		MapDead: "a redrive policy on the queue",
		Instead: map[Asked]string{
			FanOut:        "use a broker of protocol sns, which gives each group a queue of its own",
			ParallelParts: groupsAreParallel,
			MessageTTL:    lateExpiry,
		},
	}
}

func sns() Broker {
	return Broker{
		Product: "Amazon SNS to SQS", Order: "message group of the key", KeyOrder: true,
		DefaultParts: 1, Groups: true, FanOut: true, Early: true,
		Redelivery: "broker", Counts: true, AckDeadline: 2 * time.Second,
		DeadLetter:       "receives above maxReceiveCount",
		DeadLetterFields: []string{"trace"},
		Filters:          "a group, by flow", MaxMessage: 180_000, Readable: true, Counted: true,
		Map:     "a topic with a queue for each group; FIFO where the channel has a key",
		MapDead: "a redrive policy on each group's queue",
		Instead: map[Asked]string{
			ParallelParts: groupsAreParallel,
			MessageTTL:    lateExpiry,
		},
	}
}

func pubsub() Broker {
	return Broker{
		Product: "Google Cloud Pub/Sub", Order: "ordering key", KeyOrder: true, DefaultParts: 1,
		Groups: true, FanOut: true, Early: true, Redelivery: "broker", Counts: true,
		AckDeadline: 2 * time.Second, DeadLetter: "delivery attempts above the policy's limit",
		LeastAttempts: 5, MostAttempts: 100, DeadLetterFields: []string{"trace"},
		MaxMessage: 1_000_000, Readable: true,
		Map: "a topic with a subscription for each group, with ordering keys where the channel has " +
			"a key",
		MapDead: "a dead-letter policy on each subscription",
		Instead: map[Asked]string{
			ParallelParts: "take parallel away: ordering keys are parallel by themselves",
			MessageTTL:    lateExpiry,
		},
	}
}
