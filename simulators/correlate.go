package simulators

import (
	"fmt"
	"slices"
	"sync"

	"github.com/buger/jsonparser"

	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
)

// correlations tell which message a body belongs to, where programs of the user's own pass on the
// body alone (topology.Correlate). They hold every message that such a program may be given, without
// its body. The zero value is ready and safe for concurrent use.
type correlations struct {
	prepare sync.Once
	rules   []rule

	mu     sync.RWMutex
	known  map[identity]*message.Message
	shared error // the first identity that two messages had
}

// rule is one program's correlate.
type rule struct {
	node string
	topology.Correlate
	flows []string // that the program is given messages of
}

// identity is the value of a rule's id field.
type identity struct {
	rule  int
	value string
}

// Remember keeps a message that was just born, so that its body alone is enough to know it by.
func (e *Env) Remember(m *message.Message) {
	c := &e.correlations
	for i, r := range c.of(e.Topology) {
		if !slices.Contains(r.flows, m.Flow) {
			continue
		}
		value, ok := field(m.Data, r.ID)
		if !ok {
			continue
		}
		bare := *m
		bare.Data, bare.Token = nil, ""
		c.keep(r, identity{i, value}, &bare)
	}
}

func (c *correlations) keep(r rule, id identity, m *message.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[identity]*message.Message{}
	}
	other, taken := c.known[id]
	if taken && c.shared == nil && (other.Flow != m.Flow || other.Number != m.Number) {
		c.shared = fmt.Errorf("%q is the id of %s and of %s for correlate of %q; name a field whose "+
			"values are one message's alone", id.value, other.ID(), m.ID(), r.node)
	}
	c.known[id] = m
}

// Recall is the message that a body without an envelope belongs to, with that body; nil when no
// program's correlate tells.
func (e *Env) Recall(body []byte) *message.Message {
	c := &e.correlations
	for i, r := range c.of(e.Topology) {
		value, ok := field(body, r.ID)
		if !ok {
			continue
		}
		c.mu.RLock()
		known := c.known[identity{i, value}]
		c.mu.RUnlock()
		if known == nil {
			continue
		}
		m := *known
		m.Data = body
		if key, ok := field(body, r.Key); ok && len(r.Key) > 0 {
			m.Key = key
		}
		return &m
	}
	return nil
}

// Correlates says whether a program passes on bodies alone, and what keeps its messages from being
// told apart.
func (e *Env) Correlates() (bool, error) {
	c := &e.correlations
	if len(c.of(e.Topology)) == 0 {
		return false, nil
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return true, c.shared
}

// of are the rules of a topology.
func (c *correlations) of(t *topology.Topology) []rule {
	c.prepare.Do(func() {
		if t == nil {
			return
		}
		for _, n := range t.Nodes {
			if n.Correlate == nil {
				continue
			}
			r := rule{node: n.Name, Correlate: *n.Correlate}
			for _, h := range n.Handlers {
				r.flows = append(r.flows, t.HandlerFlows(n, h)...)
			}
			c.rules = append(c.rules, r)
		}
	})
	return c.rules
}

// field is the value of a body's field as text; a text is unquoted, all else as JSON writes it.
func field(body []byte, path []string) (string, bool) {
	value, kind, _, err := jsonparser.Get(body, path...)
	if err != nil || kind == jsonparser.Null || kind == jsonparser.NotExist || len(path) == 0 {
		return "", false
	}
	if kind == jsonparser.String {
		text, err := jsonparser.ParseString(value)
		return text, err == nil
	}
	return string(value), true
}
