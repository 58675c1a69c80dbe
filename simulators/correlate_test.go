package simulators

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
)

const correlated = `
topology: shop
nodes:
  app:
    kind: fleet
    sends:
      order: {to: gate POST /orders, body: {order: seq, customer: id}}
      look: {to: other POST /looks, body: {order: seq}}
  gate:
    kind: service
    command: ./gate
    correlate: {id: body.order.id, key: body.customer}
    handlers: {orders: {http: POST /orders}}
  other: {kind: service, handlers: {looks: {http: POST /looks}}}
flows:
  order: {path: app -> gate}
  look: {path: app -> other}
`

func shop(t *testing.T) *Env {
	t.Helper()
	top, diags := topology.Parse("shop.yaml", []byte(correlated), topology.Options{})
	if !diags.Empty() {
		t.Fatal(diags.String())
	}
	return &Env{Topology: top}
}

func born(flow string, number int64, body string) *message.Message {
	return &message.Message{
		Flow: flow, Number: number, Source: "app", Key: "at birth", KeySeq: 3, ParentNumber: -1,
		Token: "secret", Data: []byte(body),
	}
}

func TestRecall(t *testing.T) {
	env := shop(t)
	env.Remember(born("order", 1, `{"order":{"id":"a-1"},"customer":"ann"}`))
	env.Remember(born("order", 2, `{"order":{"id":2}}`))
	env.Remember(born("look", 3, `{"order":{"id":"l-3"}}`)) // does not pass the program
	env.Remember(born("order", 4, `{"order":"none"}`))
	cases := map[string]struct {
		body string
		id   string
		key  string
	}{
		"id/text/its message":                {`{"order":{"id":"a-1"},"more":1}`, "order-1", "at birth"},
		"id/escaped text/its message":        {`{"order":{"id":"\u0061-1"}}`, "order-1", "at birth"},
		"id/number/its message":              {`{"order":{"id":2}}`, "order-2", "at birth"},
		"key/in the body/the body's":         {`{"order":{"id":2},"customer":"김"}`, "order-2", "김"},
		"id/null/nobody's":                   {`{"order":{"id":null}}`, "", ""},
		"id/unknown value/nobody's":          {`{"order":{"id":"a-2"}}`, "", ""},
		"id/of a flow that passes by/nobody": {`{"order":{"id":"l-3"}}`, "", ""},
		"body/without the field/nobody's":    {`{"id":"a-1"}`, "", ""},
		"body/no JSON/nobody's":              {`a-1`, "", ""},
		"body/empty/nobody's":                {``, "", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := env.Recall([]byte(c.body))
			if c.id == "" {
				if m != nil {
					t.Fatalf("got %s", m.ID())
				}
				return
			}
			if m == nil {
				t.Fatal("not known")
			}
			got := []string{m.ID(), m.Key, string(m.Data), m.Token}
			if diff := cmp.Diff([]string{c.id, c.key, c.body, ""}, got); diff != "" {
				t.Errorf("id, key, body, token (-want +got):\n%s", diff)
			}
		})
	}
	if on, err := env.Correlates(); !on || err != nil {
		t.Errorf("correlates: %v, %v", on, err)
	}
}

func TestAnIDThatTwoMessagesHaveIsTold(t *testing.T) {
	env := shop(t)
	for range 2 { // the same message twice is no trouble
		env.Remember(born("order", 1, `{"order":{"id":"x"}}`))
	}
	if _, err := env.Correlates(); err != nil {
		t.Fatal(err)
	}
	env.Remember(born("order", 2, `{"order":{"id":"x"}}`))
	_, err := env.Correlates()
	if want := `"x" is the id of order-1 and of order-2`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNobodyCorrelates(t *testing.T) {
	env := &Env{Topology: &topology.Topology{}}
	env.Remember(born("order", 1, `{}`))
	if on, err := env.Correlates(); on || err != nil || env.Recall([]byte(`{}`)) != nil {
		t.Errorf("correlates: %v, %v", on, err)
	}
}
