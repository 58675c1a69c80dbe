package claims

import "time"

// table has a row for each protocol. Sizes are in bytes.
func table() map[string]Broker {
	return map[string]Broker{
		"mqtt": {
			Product: "MQTT 3.1.1", Order: "topic, to one subscriber", DefaultParts: 1,
			Groups: true, FanOut: true, Redelivery: "client", MaxMessage: 1 << 20,
			Wildcards: true, Devices: true,
			Map: "a topic; a shared subscription for each group",
			Instead: map[Asked]string{
				NativeDeadLetter: "leave native away, then the handler counts and publishes to the dead-letter channel",
				ParallelParts:    "take parallel away, or put a broker with partitions behind it",
			},
		},
		"kafka": {
			Product: "Apache Kafka", Order: "partition of the key", Parts: true, DefaultParts: 6,
			Groups: true, FanOut: true, Early: true, Redelivery: "client",
			AckDeadline: 1500 * time.Millisecond,
			MaxMessage:  1_000_000, Readable: true, Counted: true, Clusters: true,
			Map: "a topic with parallel partitions; a consumer group for each group",
			Instead: map[Asked]string{
				NativeDeadLetter: "leave native away, then the handler counts and publishes to the dead-letter channel",
				MessageTTL:       "count on late expiry: consumers drop a message that is too old when they meet it",
			},
		},
		"nats": {
			Product: "NATS JetStream", Order: "part of the key", Parts: true, DefaultParts: 1,
			Groups: true, FanOut: true, Early: true, Redelivery: "broker", Counts: true,
			AckDeadline:      1500 * time.Millisecond,
			DeadLetter:       "deliveries above max-deliver, or a consumer's terminate; consumers move what the advisories name",
			DeadLetterFields: []string{"reason", "attempts", "origin", "trace"},
			Rejects:          true, TTL: "channel", LeastTTL: 100 * time.Millisecond,
			Transient: true, MaxMessage: 1_000_000, Readable: true, Counted: true,
			Map:     "a stream with a subject for each parallel part; a durable consumer for each group and part",
			MapDead: "max-deliver on the consumers; a stream of advisories, from which consumers move",
		},
	}
}
