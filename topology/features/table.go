package features

import "maps"

type key struct {
	set      Set
	protocol string
}

// contained is what every container can have done to it.
func contained(more ...Ability) []Ability {
	return append([]Ability{Pause, LimitCPU, LimitMemory, FillDisk, CutOff, DisconnectAll}, more...)
}

// own is why a process of this machine cannot do what it takes a machine of its own for.
const own = "it runs as a process of this machine"

// inOwn are the abilities that it takes a machine of its own for, and why a process has none.
func inOwn() map[Ability]string {
	return map[Ability]string{LimitCPU: own, LimitMemory: own, FillDisk: own, CutOff: own}
}

// moto is what one of its services is, as a process or in a container.
func moto(s Set, worth string) Features {
	const inMemory = "moto keeps objects in memory only"
	f := Features{
		Name: "moto", Imitation: true,
		Worth: worth + "; what it does otherwise is mended where we know of it; all is in one " +
			"server's memory and gone with it, and no signature is checked",
	}
	if s == Process {
		f.Can, f.Why = []Ability{Pause, Throttle}, inOwn()
		f.Why[DisconnectAll] = "moto cannot be told to"
	} else {
		f.Image = "motoserver/moto:5.1.22"
		f.Can = []Ability{Pause, LimitCPU, LimitMemory, CutOff, DisconnectAll, Throttle}
		f.Why = map[Ability]string{}
	}
	f.Why[KeepsData], f.Why[FillDisk] = inMemory, inMemory
	return f
}

const neverSlow = "only brokers are throttled"

// What moto's services are worth.
const (
	motoKinesis = "stands for Kinesis's requests and answers, with shards and their order"
	motoS3      = "stands for S3's requests and answers"
	motoSNS     = "stands for SNS's requests and answers, and delivers to queues of its own server"
	motoSQS     = "stands for SQS's requests and answers, with visibility timeouts, FIFO queues and " +
		"redrive"
)

// table has a row for each engine.
func table() map[key]Features {
	all := inProcess()
	maps.Copy(all, asChild())
	maps.Copy(all, inContainers())
	return all
}

func inProcess() map[key]Features {
	return map[key]Features{
		{Embedded, "redis"}: {
			Name: "miniredis", Imitation: true,
			Worth: "stands for Redis's commands and expiry on one server; keys are in memory and " +
				"outlive a restart whole, so it vouches for no persistence, eviction or replication",
			Can: []Ability{KeepsData},
		},
		{Embedded, "mqtt"}: {
			Name: "mochi-mqtt", Imitation: true,
			Worth: "stands for MQTT 3.1.1 with QoS 1, sessions, shared subscriptions and " +
				"redelivery in order; sessions are in memory and outlive a restart whole, so it " +
				"vouches for no broker's durability, queue limits or clustering",
			Can: []Ability{KeepsData, DisconnectAll},
		},
		{Embedded, "postgres"}: {
			Name: "psql-wire over SQLite", Imitation: true,
			Worth: "stands for PostgreSQL's protocol, uniqueness and transactions; SQLite writes " +
				"one transaction at a time and is not synced to disk, so it vouches for no " +
				"durability, locking or concurrency of writers",
			Can: []Ability{KeepsData},
		},
		{Embedded, "kafka"}: {
			Name: "kfake", Imitation: true,
			Worth: "stands for Kafka's protocol, consumer groups, order in a partition and moving " +
				"leaders; it keeps one copy of each record and syncs none, so it vouches for no " +
				"replication, durability or throughput of a real cluster",
			Can: []Ability{KeepsData, MoveLeader, DisconnectAll, RefuseWrites},
		},
		{Embedded, "s3"}: {
			Name: "gofakes3", Imitation: true,
			Worth: "stands for S3's requests and answers over HTTP; objects are in memory, so it " +
				"vouches for no durability, no request throttling and no signature checks",
			Can: []Ability{KeepsData},
		},
		{Embedded, "pubsub"}: {
			Name: "Pub/Sub imitation", Imitation: true,
			Worth: "stands for Pub/Sub's topics, subscriptions, ack deadlines, delivery counts, " +
				"dead-letter topics and limits as its contract reads, giving out one message of an " +
				"ordering key at a time; all is in memory and outlives a restart whole, so it vouches " +
				"for no durability, latency, quota or region of the service",
			Can: []Ability{KeepsData, DisconnectAll},
		},
		{Embedded, "nats"}: {
			Name: "nats-server",
			Worth: "the server itself with JetStream, one node in this process; streams are in files " +
				"that are synced each two minutes, so it vouches for no power loss and no replication",
			Can: []Ability{KeepsData, DisconnectAll},
		},
	}
}

func asChild() map[key]Features {
	return map[key]Features{
		{Process, "amqp"}: {
			Name: "RabbitMQ",
			Worth: "the broker itself, one node as a process of this machine, with its own " +
				"durability; a kill ends the process alone, so it vouches for no power loss and no " +
				"replication",
			Can: []Ability{KeepsData, Pause, DisconnectAll, RaiseAlarm},
			Why: inOwn(), Authenticates: true,
		},
		{Process, "kinesis"}: moto(Process, motoKinesis),
		{Process, "s3"}:      without(moto(Process, motoS3), neverSlow, Throttle),
		{Process, "sns"}:     moto(Process, motoSNS),
		{Process, "sqs"}:     moto(Process, motoSQS),
	}
}

func inContainers() map[key]Features {
	return map[key]Features{
		{Container, "redis"}: {
			Name:  "Redis",
			Image: "redis:7.4",
			Worth: "the server itself, one node, every write in its file before it is answered " +
				"and synced each second",
			Can: contained(KeepsData),
		},
		{Container, "mqtt"}: {
			Name:  "Eclipse Mosquitto",
			Image: "eclipse-mosquitto:2.0.22",
			Worth: "the broker itself, one node; sessions are saved each two seconds and at an " +
				"orderly stop, so a kill may lose what was acknowledged since; who may connect " +
				"is judged by a door in front of it",
			Can: []Ability{KeepsData, Pause, LimitCPU, LimitMemory, CutOff, DisconnectAll},
			Why: map[Ability]string{
				FillDisk: "Mosquitto saves its sessions now and then, and goes on in memory when it cannot",
			},
		},
		{Container, "postgres"}: {
			Name:  "PostgreSQL",
			Image: "postgres:15",
			Worth: "the server itself, one node, with its own durability",
			Can:   contained(KeepsData),
		},
		{Container, "kafka"}: {
			Name:  "Apache Kafka",
			Image: "apache/kafka:3.9.1",
			Worth: "the broker itself, in KRaft mode on one machine",
			Can:   contained(KeepsData, MoveLeader, LoseLeader),
		},
		{Container, "amqp"}: {
			Name:  "RabbitMQ",
			Image: "rabbitmq:3.13",
			Worth: "the broker itself, one node, with its own durability; a kill ends its processes " +
				"alone, so it vouches for no power loss and no replication",
			Authenticates: true,
			Can:           contained(KeepsData, RaiseAlarm),
		},
		{Container, "nats"}: {
			Name:  "nats-server",
			Image: "nats:2.15.2-alpine",
			Worth: "the server itself with JetStream, one node; streams are in files that are synced " +
				"each two minutes, so it vouches for no power loss and no replication",
			Can: contained(KeepsData),
		},
		{Container, "pubsub"}: {
			Name: "Google's Pub/Sub emulator", Imitation: true,
			Image: "gcr.io/google.com/cloudsdktool/google-cloud-cli:emulators",
			Worth: "stands for Pub/Sub's requests and answers; all is in one server's memory and gone " +
				"with it, so it vouches for no durability",
			Can: []Ability{Pause, LimitCPU, LimitMemory, CutOff, DisconnectAll},
			Why: map[Ability]string{
				KeepsData: "the emulator keeps all in memory only",
				FillDisk:  "the emulator keeps all in memory only",
			},
		},
		{Container, "kinesis"}: moto(Container, motoKinesis),
		{Container, "s3"}:      without(moto(Container, motoS3), neverSlow, Throttle),
		{Container, "sns"}:     moto(Container, motoSNS),
		{Container, "sqs"}:     moto(Container, motoSQS),
	}
}
