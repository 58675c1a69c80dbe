package assertions

import (
	"strings"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/claims"
)

// routes is what the ledger needs of the topology: where a flow's messages may go, and one name
// for every channel. It is made once and asked for names that events carry.
type routes struct {
	topology  *topology.Topology
	kinds     map[string]topology.Kind
	protocols map[string]string
	flows     map[string]*route
	channels  map[string]string    // concrete reference to declared reference
	ends      map[string][2]string // wire to its two ends
	dead      []deadLetter         // made when first asked for
	endings   map[endingRow]bool   // whether the promise has them
}

// route is one flow: its legs, and the legs that lie behind each node or channel of its paths.
type route struct {
	flow  *topology.Flow
	legs  []leg
	below map[string]uint16 // a bit for each leg
}

// leg is one obligation a message has: to reach a sink, or to be answered.
type leg struct {
	node    string
	reply   bool
	success float64 // 0 is not declared
	p50     int64   // ns, 0 is not declared
	p99     int64   // ns, 0 is not declared
}

// name is how a leg is spoken of.
func (l leg) name() string {
	if l.reply {
		return "reply"
	}
	return l.node
}

// mostLegs is how many legs a flow may have; more are not judged.
const mostLegs = 16

func newRoutes(t *topology.Topology) *routes {
	r := &routes{
		topology:  t,
		kinds:     map[string]topology.Kind{},
		protocols: map[string]string{},
		flows:     map[string]*route{},
		channels:  map[string]string{},
		ends:      map[string][2]string{},
		endings:   map[endingRow]bool{},
	}
	for _, n := range t.Nodes {
		r.kinds[n.Name], r.protocols[n.Name] = n.Kind, n.Protocol
	}
	for _, f := range t.Flows {
		r.flows[f.Name] = newRoute(f)
	}
	return r
}

func newRoute(f *topology.Flow) *route {
	r := &route{flow: f, below: map[string]uint16{}}
	for _, s := range f.Sinks {
		r.legs = append(r.legs, leg{node: s.Node, success: s.Success,
			p50: int64(s.P50), p99: int64(s.P99)})
	}
	if f.ReplyWithin > 0 {
		r.legs = append(r.legs, leg{node: f.Source(), reply: true, p99: int64(f.ReplyWithin)})
	}
	if len(r.legs) > mostLegs {
		r.legs = r.legs[:mostLegs]
	}
	next := successors(f)
	for at := range next {
		reach := reachable(next, at)
		for i, l := range r.legs {
			if l.reply || reach[l.node] {
				r.below[at] |= 1 << i
			}
		}
	}
	return r
}

// successors are the steps of a flow's paths: from each node or channel to what follows it.
func successors(f *topology.Flow) map[string][]string {
	next := map[string][]string{}
	for _, path := range f.Paths {
		for i, hop := range path {
			from := vertex(hop)
			next[from] = next[from]
			if i+1 < len(path) {
				next[from] = append(next[from], vertex(path[i+1]))
			}
		}
	}
	return next
}

func vertex(h topology.Hop) string {
	if h.Channel != "" {
		return h.Channel
	}
	return h.Node
}

// reachable is all that follows from a vertex, the vertex included.
func reachable(next map[string][]string, from string) map[string]bool {
	seen := map[string]bool{from: true}
	queue := []string{from}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, n := range next[at] {
			if !seen[n] {
				seen[n] = true
				queue = append(queue, n)
			}
		}
	}
	return seen
}

// touches says whether a node is on a flow's paths.
func (r *routes) touches(flow, node string) bool {
	f := r.flows[flow]
	if f == nil {
		return false
	}
	for _, path := range f.flow.Paths {
		for _, hop := range path {
			if hop.Node == node || topology.ChannelNode(hop.Channel) == node {
				return true
			}
		}
	}
	return false
}

// wire splits "from -> to".
func (r *routes) wire(name string) (from, to string) {
	if name == "" {
		return "", ""
	}
	ends, ok := r.ends[name]
	if !ok {
		ends[0], ends[1], _ = strings.Cut(name, " -> ")
		r.ends[strings.Clone(name)] = ends
	}
	return ends[0], ends[1]
}

// channel is the declared reference ("mqtt/telemetry/:id") of a concrete one ("mqtt/telemetry/7"),
// or the reference itself where none matches.
func (r *routes) channel(ref string) string {
	if ref == "" {
		return ""
	}
	declared, ok := r.channels[ref]
	if !ok {
		declared = r.match(ref)
		r.channels[strings.Clone(ref)] = declared
	}
	return declared
}

func (r *routes) match(ref string) string {
	parts := strings.Split(ref, "/")
	template := ""
	for _, c := range r.topology.Channels {
		if c.Ref == ref {
			return c.Ref
		}
		if template == "" && fits(strings.Split(c.Ref, "/"), parts) {
			template = c.Ref
		}
	}
	if template != "" {
		return template
	}
	return ref
}

// fits compares a reference with a declared one, in which ":id" stands for any one segment.
func fits(declared, parts []string) bool {
	if len(declared) != len(parts) {
		return false
	}
	for i, d := range declared {
		if d != parts[i] && !strings.HasPrefix(d, ":") {
			return false
		}
	}
	return true
}

// readable says whether the audit can read a channel back: MQTT keeps nothing to read.
func (r *routes) readable(channel string) bool {
	c, known := claims.Of(r.protocols[topology.ChannelNode(channel)])
	return !known || c.Readable
}
