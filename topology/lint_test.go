package topology

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// designed reads a topology for a test.
func designed(t *testing.T, src string) *Topology {
	t.Helper()
	top, diags := Parse("t.yaml", []byte("topology: t\n"+src), Options{})
	if !diags.Empty() {
		t.Fatalf("parse:\n%s\n%s", diags.String(), src)
	}
	return top
}

// shop is a small sound system; replacing one of its parts plants one fault. Parts are told apart
// by their own line.
const shop = `
nodes:
  sensor:
    kind: fleet
    count: 3
    sends: {reading: {to: mqtt/reading/:id, qos: 1}}
  mqtt: {kind: broker, protocol: mqtt}
  log: {kind: broker, protocol: kafka, brokers: 3}
  rule:
    kind: service
    replicas: 1
    handlers:
      reading:
        subscribe: mqtt/reading/:id
        dead_letter: {attempts: 3, channel: log/reading.dead}
        do: [{publish: log/reading, timeout: 1s}]
  worker:
    kind: service
    replicas: 2
    handlers:
      reading:
        subscribe: log/reading
        order: key
        concurrency: 4
        ack: after_work
        do:
          - call: api POST /reading
            timeout: 900ms
            retry: {attempts: 3, backoff: 10ms, permanent: [4xx]}
            breaker: {failures: 5, within: 10s, open: 1s}
  api:
    kind: service
    replicas: 2
    handlers:
      reading:
        http: POST /reading
        do:
          - store: db
            append: false
            timeout: 100ms
            retry: {attempts: 2, backoff: 10ms}
  db: {kind: store, protocol: postgres}
  ui: {kind: fleet, sends: {ask: {to: front POST /ask}}}
  front:
    kind: service
    replicas: 2
    handlers:
      ask:
        http: POST /ask
        do: [{work: {p50: 5ms, p99: 50ms}}, {lookup: db, timeout: 200ms}, {reply: 200}]
channels:
  log/reading: {parallel: 4, key: sensor, ttl: 1m, dead_letter: {attempts: 3}}
flows:
  reading:
    path: sensor -> mqtt/reading/:id -> rule -> log/reading -> worker -> api -> db
    key: sensor
    guarantee: at-least-once
    sinks: {db: {p99: 5s}}
  ask: {path: ui -> front -> db, reply_within: 1s}
`

func TestLint(t *testing.T) {
	cases := []struct {
		name     string
		old, new string // what is planted in shop; nothing leaves it sound
		code     string
		severity Severity
		flow     string
		text     string // a part of the finding's text
	}{
		{"dead-letter/may refuse/fault", ", dead_letter: {attempts: 3}}\nflows", "}\nflows",
			"no-dead-letter", SeverityFault, "reading", "takes reading from log/reading without"},
		{"dead-letter/only fails for a while/warning",
			"\n        dead_letter: {attempts: 3, channel: log/reading.dead}",
			"",
			"no-dead-letter", SeverityWarning, "reading", "takes reading from mqtt/reading/:id without"},
		{"timeout/below the callee's retries/fault", "timeout: 900ms", "timeout: 150ms",
			"timeout-below-retries", SeverityFault, "reading",
			"worker reading gives up on api after 150ms, while api may go on retrying for 210ms"},
		{"retry/product over budget/warning",
			"retry: {attempts: 3, backoff: 10ms, permanent",
			"retry: {attempts: 10, backoff: 10ms, permanent",
			"retry-product", SeverityWarning, "reading",
			"60 tries at db: 3 (worker reading attempts) × 10 (worker call api) × 2 (api store db)"},
		{"retry/many without a breaker/warning",
			"retry: {attempts: 2, backoff: 10ms}",
			"retry: {attempts: 11, backoff: 1ms}",
			"retry-without-breaker", SeverityWarning, "reading", "tries store db up to 11 times"},
		{"retry/at once/warning",
			"retry: {attempts: 2, backoff: 10ms}",
			"retry: {attempts: 2, backoff: none}",
			"retry-without-pause", SeverityWarning, "reading", "api reading tries store db again at once"},
		{"idempotent/append at least once/warning", "append: false", "append: true",
			"not-idempotent", SeverityWarning, "reading", "api reading appends to db"},
		{"idempotent/append exactly once/fault",
			"guarantee: at-least-once", "guarantee: exactly-once",
			"not-idempotent", SeverityFault, "reading", "a second row"},
		{"order/any order at once/fault", "order: key", "order: none",
			"order-lost", SeverityFault, "reading", "handles 8 messages at once in any order"},
		{"order/what failed waits in a retry channel/fault",
			"ack: after_work",
			"ack: after_work\n        retry: {attempts: 3, backoff: 10ms, channel: log/reading.retry}",
			"order-lost", SeverityFault, "reading",
			"worker reading lets a message that failed wait in log/reading.retry while later ones go on"},
		{"order/replicas share a topic/fault",
			"replicas: 1\n    handlers:\n      reading:",
			"replicas: 3\n    handlers:\n      reading:",
			"order-lost", SeverityFault, "reading", "3 replicas of rule share mqtt/reading/:id"},
		{"broker/parallel without key/fault", "parallel: 4, key: sensor", "parallel: 4",
			"broker-cannot", SeverityFault, "reading", "has 4 parallel parts and no key"},
		{"broker/parallel with another key/fault", "parallel: 4, key: sensor", "parallel: 4, key: room",
			"broker-cannot", SeverityFault, "reading", "has 4 parallel parts and key room"},
		{"broker/parallel topics/fault",
			"channels:\n",
			"channels:\n  mqtt/reading/:id: {parallel: 2, key: sensor}\n",
			"broker-cannot", SeverityFault, "", "mqtt has none"},
		{"broker/ttl on kafka/info",
			"",
			"",
			"broker-cannot", SeverityInfo, "",
			"kafka expires no single message"},
		{"broker/qos 0/fault", "qos: 1", "qos: 0",
			"qos-below-guarantee", SeverityFault, "reading", "sends flow reading with qos 0"},
		{"ack/before the work/fault", "ack: after_work", "ack: before_work",
			"ack-before-work", SeverityFault, "reading", "a crash loses what was acknowledged"},
		{"breaker/open beyond the SLO/warning", "open: 1s", "open: 6s",
			"breaker-above-slo", SeverityWarning, "reading", "stays open for 6s, flow reading has 5s"},
		{"channel/nobody consumes/warning", "channels:\n", "channels:\n  log/other: {parallel: 2}\n",
			"channel-unused", SeverityWarning, "", "channel log/other is declared"},
		{"channel/nobody publishes/warning",
			"subscribe: mqtt/reading/:id",
			"subscribe: mqtt/readings/:id",
			"nobody-publishes", SeverityWarning, "", "rule takes messages from mqtt/readings/:id"},
		{"channel/nobody takes/warning", "subscribe: mqtt/reading/:id", "subscribe: mqtt/readings/:id",
			"nobody-consumes", SeverityWarning, "", "sensor publishes to mqtt/reading/:id"},
		{"ttl/below the retries/fault", "ttl: 1m", "ttl: 2s",
			"ttl-below-retries", SeverityFault, "reading", "its retries may go on for 2.72s"},
		{"reply/timeouts beyond it/warning", "timeout: 200ms", "timeout: 2s",
			"reply-too-late", SeverityWarning, "ask", "timeouts and retries on its way add up to 2.05s"},
		{"reply/work beyond it/fault", "p99: 50ms", "p99: 1500ms",
			"reply-too-late", SeverityFault, "ask", "the work on its way alone takes 1.5s"},
		{"call/without a timeout/info", "            timeout: 900ms\n", "",
			"no-timeout", SeverityInfo, "reading", "worker reading waits for api without a timeout"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			src := shop
			if c.old != "" {
				if strings.Count(shop, c.old) != 1 {
					t.Fatalf("%q stands %d times in shop", c.old, strings.Count(shop, c.old))
				}
				src = strings.Replace(shop, c.old, c.new, 1)
			}
			if c.code == "not-idempotent" {
				src = strings.Replace(src, "append: false", "append: true", 1)
			}
			found := designed(t, src).Lint()
			i := slices.IndexFunc(found, func(f Finding) bool {
				return f.Code == c.code && strings.Contains(f.Text, c.text)
			})
			if i < 0 {
				t.Fatalf("no %s with %q among\n%s", c.code, c.text, listed(found))
			}
			f := found[i]
			if f.Severity != c.severity || f.Flow != c.flow || f.Hint == "" || f.At.Line == 0 {
				t.Errorf("severity %s, flow %q, hint %q, at %s; want %s, %q",
					f.Severity, f.Flow, f.Hint, f.At, c.severity, c.flow)
			}
		})
	}
}

func listed(found []Finding) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s %s\n", f.Severity, f)
	}
	return b.String()
}

// TestLintLeavesSoundDesignsAlone is the other half of TestLint: what the planted faults are
// planted in has none of them.
func TestLintLeavesSoundDesignsAlone(t *testing.T) {
	var codes []string
	for _, f := range designed(t, shop).Lint() {
		codes = append(codes, string(f.Severity)+" "+f.Code)
	}
	want := []string{"info broker-cannot"} // the ttl on kafka
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// TestLintSpecialCases are designs that shop has no place for.
func TestLintSpecialCases(t *testing.T) {
	cases := []struct {
		name, src string
		want      []string
	}{
		{"single point/two flows through one replica/info", `
nodes: {a: {kind: fleet}, b: {kind: fleet}, s: {kind: service}, d: {kind: store, protocol: redis}}
flows: {x: {path: a -> s -> d}, y: {path: b -> s -> d}}`,
			[]string{"t.yaml:2:45: s runs once, and 2 flows need it: x, y; run replicas, or expect these " +
				"flows in the blast radius [single-point]"}},
		{"clean session/subscribed at least once/fault", `
nodes:
  a: {kind: service}
  m: {kind: broker, protocol: mqtt}
  lamp: {kind: fleet, session: {clean: true}}
flows: {x: {path: a -> m/x/:id -> lamp}}`,
			[]string{"t.yaml:5:3: lamp begins a clean session at each connect, while flow x promises " +
				"at-least-once over m/x/:id: what is sent while it is away is lost; keep the session " +
				"(session: {clean: false}) [clean-session]"}},
		{"clean session/at most once/nothing", `
nodes:
  a: {kind: service}
  m: {kind: broker, protocol: mqtt}
  lamp: {kind: fleet, session: {clean: true}}
flows: {x: {path: a -> m/x/:id -> lamp, guarantee: at-most-once}}`, nil},
		{"ack/cloud before it is ours/nothing", `
nodes:
  a: {kind: fleet}
  c:
    kind: cloud
    handlers: {x: {http: POST /x, ack: before_work, do: [{call: b POST /x, timeout: 1s}]}}
  b: {kind: service, handlers: {x: {http: POST /x}}}
flows: {x: {path: a -> c -> b, accepted_at: b}}`, nil},
		{"broker/qos 2 for exactly once/warning", `
nodes:
  a: {kind: fleet, sends: {x: {qos: 2}}}
  m: {kind: broker, protocol: mqtt}
  s: {kind: service, handlers: {x: {subscribe: m/x, dead_letter: {attempts: 3}}}}
flows: {x: {path: a -> m/x -> s, guarantee: exactly-once}}`,
			[]string{"t.yaml:3:3: a sends flow x with qos 2, which ends at m: behind it a message can " +
				"still come twice; store by message id or declare dedupe at the sinks; qos 1 is then enough " +
				"[broker-cannot]"}},
		{"broker/qos 2 on kafka/fault", `
nodes:
  a: {kind: service, sends: {x: {to: k/x, qos: 2}}}
  k: {kind: broker, protocol: kafka, brokers: 3}
  s: {kind: service, handlers: {x: {subscribe: k/x, dead_letter: {attempts: 3}}}}
flows: {x: {path: a -> k/x -> s}}`,
			[]string{"t.yaml:3:3: a asks k for qos 2, which kafka does not have; take qos away " +
				"[broker-cannot]"}},
		{"retry/callers in a circle/ends", `
nodes:
  a: {kind: service, handlers: {x: {http: POST /x, do: [{call: b POST /x, use: p}]}}}
  b: {kind: service, handlers: {x: {http: POST /x, do: [{call: a POST /x, use: p}]}}}
policies: {p: {timeout: 1s, retry: {attempts: 6, backoff: 1ms}}}`,
			[]string{
				"t.yaml:3:3: a x gives up on b after 1s, while b may go on retrying for 6.005s; give the " +
					"call at least 6.005s, or the retries behind it less [timeout-below-retries]",
				"t.yaml:4:3: b x gives up on a after 1s, while a may go on retrying for 6.005s; give the " +
					"call at least 6.005s, or the retries behind it less [timeout-below-retries]"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, f := range designed(t, strings.TrimPrefix(c.src, "\n")).Lint() {
				got = append(got, f.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLintIotPlatform holds the reference system to its promises.
func TestLintIotPlatform(t *testing.T) {
	top, diags, err := Load("examples/iot-platform.yaml", Options{})
	if err != nil || !diags.Empty() {
		t.Fatalf("load: %v\n%s", err, diags.String())
	}
	for _, f := range top.Lint() {
		if f.Severity == SeverityFault {
			t.Errorf("%s", f)
		}
	}
}
