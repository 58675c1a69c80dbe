package topology

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// outline is what the nodes of a topology do, one line each.
func outline(topo *Topology) []string {
	var lines []string
	for _, n := range topo.Nodes {
		for _, s := range n.Sends {
			lines = append(lines, fmt.Sprintf("%s sends %s to %s", n.Name, s.Flow, s.To))
		}
		for _, h := range n.Handlers {
			trigger := h.HTTP
			if h.Subscribe != "" {
				trigger = "subscribe " + h.Subscribe
			}
			lines = append(lines, fmt.Sprintf("%s %s: %s", n.Name, h.Name, trigger))
			for s := range h.Steps() {
				line := "  " + s.Name
				if s.Path != "" {
					line += " " + s.Path
				}
				if s.Derive != "" {
					line += " derives " + s.Derive
				}
				if len(s.Flows) > 0 {
					line += " for " + strings.Join(s.Flows, ", ")
				}
				if s.ReplyTo != "" {
					line += " answered on " + s.ReplyTo
				}
				lines = append(lines, line)
			}
		}
	}
	return lines
}

func TestDefaultHandlers(t *testing.T) {
	tests := []struct {
		name, flows string
		want        []string
	}{
		{"default/no flow/nothing", "", nil},
		{"default/calls, channels and stores/passed on",
			"orders: {path: home.app -> gateway -> stream/orders -> worker -> lake}", []string{
				"home.app sends orders to gateway POST /orders",
				"gateway orders: POST /orders", "  publish stream/orders",
				"worker orders: subscribe stream/orders", "  store lake records",
			}},
		{"default/two lines/fork",
			"orders: {path: [home.app -> gateway -> lake, gateway -> stream/copies -> worker, " +
				"stream/copies -> cloud]}", []string{
				"home.app sends orders to gateway POST /orders",
				"gateway orders: POST /orders", "  store lake records", "  publish stream/copies",
				"worker orders: subscribe stream/copies",
				"cloud orders: subscribe stream/copies",
			}},
		{"default/two flows behind one channel/one handler",
			"a: {path: home.app -> mqtt/in -> worker -> lake}\n  " +
				"b: {path: away.app -> mqtt/in -> worker -> cloud}", []string{
				"home.app sends a to mqtt/in", "away.app sends b to mqtt/in",
				"worker a: subscribe mqtt/in", "  store lake records for a", "  call cloud /b for b",
				"cloud b: POST /b",
			}},
		{"default/fleet behind a service/mailbox",
			"news: {path: cloud -> gateway -> home.app}", []string{
				"home.app news: subscribe gateway/news/:id",
				"gateway news: POST /news", "  publish gateway/news/:id",
				"cloud sends news to gateway POST /news",
			}},
		{"default/answered over a broker/request and reply",
			"ask: {path: home.app -> gateway -> mqtt/ask/:id -> away.app, reply_within: 1s}", []string{
				"home.app sends ask to gateway POST /ask",
				"away.app ask: subscribe mqtt/ask/:id", "  reply",
				"gateway ask: POST /ask", "  request mqtt/ask/:id answered on mqtt/ask.reply/:id",
			}},
		{"default/answered from a store/lookup",
			"ask: {path: home.app -> gateway -> lake, reply_within: 1s}", []string{
				"home.app sends ask to gateway POST /ask",
				"gateway ask: POST /ask", "  lookup lake records",
			}},
		{"default/same node twice/second route",
			"round: {path: home.app -> gateway -> worker -> gateway -> lake}", []string{
				"home.app sends round to gateway POST /round",
				"gateway round: POST /round", "  call worker /round",
				"gateway round 2: POST /round/2", "  store lake records",
				"worker round: POST /round", "  call gateway /round/2",
			}},
		{"default/derived flow/born in the parent's handler",
			"orders: {path: home.app -> gateway -> lake}\n  " +
				"alarms: {path: gateway -> stream/alarms -> worker, derived_from: orders, " +
				"when: data.total > 80}", []string{
				"home.app sends orders to gateway POST /orders",
				"gateway orders: POST /orders", "  store lake records", "  when",
				"  publish stream/alarms derives alarms",
				"worker alarms: subscribe stream/alarms",
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			topo := parsed(t, small+"flows:\n  "+tt.flows+"\n")
			if diff := cmp.Diff(tt.want, outline(topo)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDefaultLogin(t *testing.T) {
	topo := parsed(t, small, "home.app.login=cloud")
	if diff := cmp.Diff([]string{"cloud login: POST /login", "  issue"}, outline(topo)); diff != "" {
		// the overlay comes after inference: the login's handler must come with it
		t.Error(diff)
	}
	if diff := cmp.Diff([]Wire{{From: "home.app", To: "cloud"}}, topo.Wires()); diff != "" {
		t.Error(diff)
	}
}
