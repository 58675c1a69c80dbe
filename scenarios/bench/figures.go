package main

import "fmt"

// bound is how a figure is held against its limit.
type bound int

const (
	none    bound = iota // only told
	least                // at least the limit
	most                 // at most the limit
	lessing              // less than the limit
)

// figure is one line of the table.
type figure struct {
	name   string
	metric string // "Benchmark unit"
	format string // of the value, its unit included
	bound  bound
	limit  float64
	share  float64 // what the metric is divided by; 0 is 1
}

// figures are the table, in its order. Lines without a limit explain the one above.
var figures = []figure{
	{name: "telemetry throughput, Faultline ÷ by hand", metric: "Telemetry throughput-ratio",
		format: "%.2f", bound: least, limit: 1},
	{name: "  with memory on the dialler's side, sockets beyond", metric: "Telemetry near-ratio",
		format: "%.2f", bound: least, limit: 0.9},
	{name: "  over sockets", metric: "Telemetry sockets-ratio", format: "%.2f"},
	{name: "  by hand", metric: "Telemetry hand-msg/s", format: "%.0f messages/s"},
	{name: "  Faultline", metric: "Telemetry faultline-msg/s", format: "%.0f messages/s"},
	{name: "  processor time a message, by hand ÷ Faultline", metric: "Telemetry cpu-ratio",
		format: "%.2f"},
	{name: "what a proxied hop adds, in memory ÷ stock Toxiproxy", metric: "Hop hop-ratio",
		format: "%.2f", bound: most, limit: 0.5},
	{name: "  in memory, to a round trip of 256 bytes", metric: "Hop memory-more-ns",
		format: "%.1f µs", share: 1000},
	{name: "  stock Toxiproxy", metric: "Hop stock-more-ns", format: "%.1f µs", share: 1000},
	{name: "telemetry p50 at 200/s, Faultline − by hand", metric: "TelemetryPaced p50-more-ms",
		format: "%.2f ms", bound: most, limit: 2},
	{name: "  by hand", metric: "TelemetryPaced hand-p50-ms", format: "%.2f ms"},
	{name: "  Faultline", metric: "TelemetryPaced faultline-p50-ms", format: "%.2f ms"},
	{name: "iot-platform ready, 200 devices logged in", metric: "Ready ready-ms",
		format: "%.0f ms", bound: lessing, limit: 1000},
	{name: "  engines by", metric: "Ready engines-ms", format: "%.0f ms"},
	{name: "  gateway and data_api by", metric: "Ready data_api-ms", format: "%.0f ms"},
	{name: "  worker1, in its consumer group, by", metric: "Ready worker1-ms", format: "%.0f ms"},
	{name: "  50 app users by", metric: "Ready app-ms", format: "%.0f ms"},
	{name: "  200 devices by", metric: "Ready hw-ms", format: "%.0f ms"},
	{name: "  processor time of it all", metric: "Ready cpu-ms", format: "%.0f ms"},
	{name: "recorder, an event at 200,000 a second", metric: "RecordPaced ns/event",
		format: "%.0f ns", bound: lessing, limit: 1000},
	{name: "recorder, allocations an event", metric: "RecordBurst allocs/op",
		format: "%.3f", bound: most, limit: 1, share: 200_000},
	{name: "load with history against without, processor time", metric: "Recording cpu-more-%",
		format: "%+.1f %%", bound: most, limit: 3},
	{name: "check of a real run, on one core", metric: "Check check-events/s",
		format: "%.2f M events/s", bound: least, limit: 1, share: 1e6},
	{name: "judge alone, no file", metric: "Judge events/s",
		format: "%.2f M events/s", bound: least, limit: 1, share: 1e6},
	{name: "check, memory a message", metric: "Judge B/message",
		format: "%.0f bytes", bound: most, limit: 64},
	{name: "history on disk, an event", metric: "Check disk-B/event",
		format: "%.1f bytes", bound: lessing, limit: 40},
	virtually("Kafka", "Pair/kafka", 200),
	virtually("MQTT", "Pair/mqtt", 200),
	virtually("Postgres", "Pair/postgres", 150),
	virtually("Redis", "Pair/redis", 150),
	virtually("Pub/Sub", "Pair/pubsub", 60),
	virtually("S3", "Pair/s3", 60),
	virtually("NATS", "Pair/nats", 60),
	virtually("the telemetry flow, all hops", "Telemetry/telemetry-50", 40),
	virtually("the telemetry flow at 2 messages/s", "Telemetry/telemetry-2", 400),
}

// virtually is how much faster than the clock ten virtual minutes go, at 50 messages a second where
// nothing else is said.
func virtually(what, benchmark string, limit float64) figure {
	return figure{name: "ten virtual minutes of " + what, metric: benchmark + " x-real-time",
		format: "%.0f ×", bound: least, limit: limit}
}

// diagnosis is told in the long table: the share of faulted runs whose first suspect was the one at
// fault, and of clean runs in which nobody was named.
var diagnosis = []figure{
	{name: "diagnosis, the one at fault is named first", metric: "Diagnosis top-1",
		format: "%.2f", bound: least, limit: 1},
	{name: "diagnosis, nobody is named on a clean run", metric: "Diagnosis clean",
		format: "%.2f", bound: least, limit: 1},
}

// demo is the last line of the long table.
var demo = figure{
	name: "make demo from a built tree", metric: "demo s", format: "%.1f s", bound: most, limit: 2,
}

func (f figure) per() float64 {
	if f.share == 0 {
		return 1
	}
	return f.share
}

func (f figure) good(value float64) bool {
	switch f.bound {
	case least:
		return value >= f.limit
	case most:
		return value <= f.limit
	case lessing:
		return value < f.limit
	}
	return true
}

func (f figure) show(value float64) string { return fmt.Sprintf(f.format, value) }

func (f figure) required() string {
	sign := [...]string{none: "", least: "≥ ", most: "≤ ", lessing: "< "}[f.bound]
	if f.bound == none {
		return ""
	}
	return sign + f.show(f.limit)
}
