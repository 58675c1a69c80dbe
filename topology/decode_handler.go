package topology

import (
	"regexp"
	"strings"

	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// triggers are the keys of which a handler has exactly one.
var triggers = []string{"subscribe", "http", "every", "batch"}

// nameKey is the name an entry is about, and its value. In an overlay the key may go on behind a
// name that is known: "records.retry.attempts: 3" is about records.
func (d *decoder) nameKey(e yamlpos.Entry, known func(string) bool) (string, yamlpos.Value) {
	name := e.Key.Text()
	if !d.overlay || known(name) {
		return name, e.Value
	}
	segments := SplitName(name)
	for end := len(segments); end > 0; end-- {
		if joined := strings.Join(segments[:end], "."); known(joined) {
			return joined, e.Value.Under(e.Key, segments[end:]...)
		}
	}
	return name, e.Value
}

// flowKey is nameKey for a declared flow; "" when there is none of that name.
func (d *decoder) flowKey(e yamlpos.Entry) (string, yamlpos.Value) {
	name, v := d.nameKey(e, func(s string) bool { return d.t.Flow(s) != nil })
	if d.t.Flow(name) == nil {
		return d.flowRef(e.Key), v
	}
	return name, v
}

// handlers reads a node's handlers by name. Those of a file replace the default ones.
func (d *decoder) handlers(n *Node, v yamlpos.Value) {
	for _, e := range v.Entries() {
		name, value := d.nameKey(e, func(s string) bool { return n.Handler(s) != nil })
		if strings.TrimSpace(name) == "" {
			e.Key.Errorf("wrong-type", "a handler's name is a text, this is empty")
			continue
		}
		h := n.Handler(name)
		if h == nil && d.overlay && !hasTrigger(value) {
			e.Key.Errorf("unknown-handler", "handler %q is not in %s, %s",
				name, n.Name, diag.Expected(name, handlerNames(n)))
			continue
		}
		if h == nil {
			h = &Handler{Name: name}
			d.fresh = append(d.fresh, h)
			n.Handlers = append(n.Handlers, h)
		}
		n.Inferred = false
		d.at[h] = e.Key
		d.handler(h, value)
	}
}

func handlerNames(n *Node) []string {
	names := make([]string, len(n.Handlers))
	for i, h := range n.Handlers {
		names[i] = h.Name
	}
	return names
}

func hasTrigger(v yamlpos.Value) bool {
	for _, key := range triggers {
		if v.Get(key).Present() {
			return true
		}
	}
	return false
}

func (d *decoder) handler(h *Handler, v yamlpos.Value) {
	d.oneTrigger(h, v)
	d.said[h] = d.said[h] || v.Get("dead_letter").Present()
	d.usePolicies(&h.Policy, v)
	d.fields(v, with(d.policyFields(&h.Policy), map[string]func(yamlpos.Value){
		"subscribe":   func(v yamlpos.Value) { h.Subscribe = d.channelRef(v, v.String()) },
		"http":        func(v yamlpos.Value) { h.HTTP = d.route(v) },
		"every":       func(v yamlpos.Value) { h.Every = v.Positive() },
		"batch":       func(v yamlpos.Value) { d.batch(h, v) },
		"group":       func(v yamlpos.Value) { h.Group = v.String() },
		"concurrency": func(v yamlpos.Value) { h.Concurrency = v.Int(1, maxCount) },
		"order":       func(v yamlpos.Value) { h.Order = v.OneOf("key", "none") },
		"ack":         func(v yamlpos.Value) { h.Ack = v.OneOf("after_work", "before_work") },
		"flows":       func(v yamlpos.Value) { h.Flows = d.flowRefs(v) },
		"do":          func(v yamlpos.Value) { d.do(h, v) },
	}))
}

// oneTrigger reports no trigger, or two; in an overlay a new one takes the old one's place.
func (d *decoder) oneTrigger(h *Handler, v yamlpos.Value) {
	var found []string
	for _, key := range triggers {
		if v.Get(key).Present() {
			found = append(found, key)
		}
	}
	switch {
	case len(found) > 1:
		d.report(h, "two-triggers", "handler %q has the triggers %s, one is accepted",
			h.Name, strings.Join(found, " and "))
	case len(found) == 0 && !d.overlay:
		d.report(h, "no-trigger", "handler %q has no trigger, accepted: %s",
			h.Name, strings.Join(triggers, ", "))
	case len(found) == 1 && found[0] != "batch":
		h.Subscribe, h.HTTP, h.Every, h.Batch = "", "", 0, nil
	case len(found) == 1:
		h.Subscribe, h.HTTP, h.Every = "", "", 0
	}
}

var route = regexp.MustCompile(`^[A-Z]+ /\S*$`)

// route is "METHOD /path".
func (d *decoder) route(v yamlpos.Value) string {
	text := v.String()
	if text == "" {
		return ""
	}
	if !route.MatchString(text) {
		v.Errorf("wrong-form", "%q is no route, write it as \"POST /path\"", text)
		return ""
	}
	method, _, _ := strings.Cut(text, " ")
	if !knownMethod(method) {
		v.Errorf("unknown-value", "%q is no method, %s", method, diag.Expected(method, methods))
		return ""
	}
	return text
}

func knownMethod(m string) bool {
	for _, known := range methods {
		if m == known {
			return true
		}
	}
	return false
}

func (d *decoder) batch(h *Handler, v yamlpos.Value) {
	b := Batch{}
	if h.Batch != nil {
		b = *h.Batch
	}
	d.fields(v, map[string]func(yamlpos.Value){
		"channel": func(v yamlpos.Value) { b.Channel = d.channelRef(v, v.String()) },
		"size":    func(v yamlpos.Value) { b.Size = v.Int(1, maxCount) },
		"every":   func(v yamlpos.Value) { b.Every = v.Positive() },
	})
	d.needs(v, "a batch", b.Channel != "", "channel")
	d.needs(v, "a batch", b.Size > 0, "size")
	d.needs(v, "a batch", b.Every > 0, "every")
	h.Batch = &b
}
