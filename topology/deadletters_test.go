package topology

import "testing"

func TestOrigin(t *testing.T) {
	const text = `
topology: small
nodes:
  home.app: {kind: fleet}
  core.stream: {kind: broker, protocol: kafka}
  core.mqtt: {kind: broker, protocol: mqtt}
  worker: {kind: service}
  second: {kind: service}
  lake: {kind: store, protocol: s3}
channels:
  stream/orders: {dead_letter: {attempts: 3}}
  stream/more: {dead_letter: {attempts: 3, channel: stream/both.dead}}
  stream/others: {dead_letter: {attempts: 3, channel: stream/both.dead}}
flows:
  order: {path: home.app -> mqtt/orders/:id -> second -> stream/orders -> worker -> lake}
  more: {path: second -> stream/more -> worker -> lake}
  others: {path: second -> stream/others -> worker -> lake}
`
	top, _ := Parse("small.yaml", []byte(text), Options{})
	cases := map[string]struct{ dead, told, want string }{
		"origin/told in full/taken":         {"core.stream/orders.dead", "core.stream/orders", "core.stream/orders"},
		"origin/told by a short name/taken": {"core.stream/orders.dead", "mqtt/orders/7", "core.mqtt/orders/7"},
		"origin/not told/the only one":      {"core.stream/orders.dead", "", "core.stream/orders"},
		"origin/nonsense told/the only one": {"core.stream/orders.dead", "a handler", "core.stream/orders"},
		"origin/not told and two/not known": {"core.stream/both.dead", "", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := top.Origin(c.dead, c.told); got != c.want {
				t.Errorf("origin %q, want %q", got, c.want)
			}
		})
	}
}
