package fleet

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-sim/faultline/topology"
)

// send is one declared send, its expressions compiled.
type send struct {
	*topology.Send
	flow    *topology.Flow
	fields  []field
	subject *topology.Expression
	broker  string // "" when it is HTTP
	channel string // its name on the broker
	callee  string
	method  string
	path    string
	wire    string
	name    string // of the step, in events
	choice  choice
}

// field is one field of a body.
type field struct {
	name  string
	key   []byte // the name as JSON, with its colon
	value *topology.Expression
}

func (f *Fleet) compileSend(declared *topology.Send) (*send, error) {
	s := &send{Send: declared, flow: f.env.Topology.Flow(declared.Flow)}
	s.choice.rand = f.env.Rand("offer", declared.Flow)
	if s.flow == nil {
		return nil, fmt.Errorf("flow %q is not in the topology", declared.Flow)
	}
	var err error
	for _, name := range slices.Sorted(maps.Keys(declared.Body)) {
		one := field{name: name, key: append(quoted(name), ':')}
		if one.value, err = topology.CompileSend(declared.Body[name]); err != nil {
			return nil, err
		}
		s.fields = append(s.fields, one)
	}
	if declared.Subject != "" {
		if s.subject, err = topology.CompileSend(declared.Subject); err != nil {
			return nil, err
		}
	}
	s.callee, s.method, s.path = declared.HTTP()
	if s.callee == "" {
		s.broker = topology.ChannelNode(declared.To)
		s.channel = topology.ChannelName(declared.To)
	} else {
		f.callee(s.callee)
	}
	s.wire = topology.Wire{From: f.node.Name, To: s.FarNode()}.String()
	s.name = "send " + declared.Flow
	return s, nil
}

// body is what a message says, and what it is about.
type body struct {
	data    []byte
	subject string
	key     string
}

// write draws one body for a member.
func (s *send) write(env topology.SendEnv) (b body, err error) {
	b.subject = env.ID
	if s.subject != nil {
		drawn, err := s.subject.Draw(env)
		if err != nil {
			return b, err
		}
		b.subject = fmt.Sprint(drawn)
	}
	env.Subject = b.subject
	b.data = append(make([]byte, 0, 32+32*len(s.fields)), '{')
	for i, one := range s.fields {
		value, err := one.value.Draw(env)
		if err != nil {
			return b, err
		}
		if i > 0 {
			b.data = append(b.data, ',')
		}
		if b.data, err = appendValue(append(b.data, one.key...), value); err != nil {
			return b, fmt.Errorf("write field %q: %w", one.name, err)
		}
		if one.name == s.flow.Key {
			b.key = fmt.Sprint(value)
		}
	}
	b.data = append(b.data, '}')
	return b, nil
}

func quoted(text string) []byte {
	q, _ := json.Marshal(text) // a string cannot fail
	return q
}

func appendValue(b []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	default:
		text, err := json.Marshal(v)
		return append(b, text...), err
	}
}

// pen draws the bodies of one member's messages of one flow, from a generator of its own, so that
// the same seed writes the same bodies however the flows interleave.
type pen struct {
	rand *rand.Rand
	env  topology.SendEnv
	next int
}

func (f *Fleet) newPen(flow string, m *member) *pen {
	p := &pen{rand: f.env.Rand("send", flow, f.node.Name, m.id)}
	p.env = topology.SendEnv{
		ID: m.id,
		Member: func(fleet string) string {
			full, err := f.env.Topology.Resolve(fleet)
			if err != nil {
				return ""
			}
			return topology.MemberID(full, p.rand.IntN(max(1, f.env.Topology.Node(full).Count)))
		},
		Pick: func(list []any) any { return oneOf(p.rand, list) },
		Choice: func(values ...any) any {
			return oneOf(p.rand, values)
		},
		Normal: func(mean, spread float64) float64 { return mean + spread*p.rand.NormFloat64() },
		Uniform: func(least, most float64) float64 {
			return least + (most-least)*p.rand.Float64()
		},
	}
	return p
}

func oneOf(r *rand.Rand, list []any) any {
	if len(list) == 0 {
		return nil
	}
	return list[r.IntN(len(list))]
}

func (p *pen) write(s *send, intended time.Time) (body, error) {
	env := p.env
	env.Seq, env.Now = p.next, intended.UTC().Format(time.RFC3339Nano)
	p.next++
	b, err := s.write(env)
	b.subject = strings.ToValidUTF8(b.subject, "")
	return b, err
}
