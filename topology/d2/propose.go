package d2

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/claims"
)

// proposal is the topology that a drawing seems to mean.
type proposal struct {
	drawing *Drawing
	t       *topology.Topology // the nodes only, to resolve names in
	guesses []guess
	edges   []edge
	flows   []proposedFlow
}

// proposedFlow is a flow from a source along the links; its lines are elements as a path has them.
type proposedFlow struct {
	name  string
	lines [][]string
	loose []Link // links on it that are drawn without a direction
	back  bool   // some link is followed against its arrow
}

// edge is a way from one leaf box to another along a link.
type edge struct {
	from, to string
	cost     int
	link     Link
	against  bool // against the link's arrow
}

// Costs of an edge, the lower the likelier: a link to a container that holds a broker means the
// broker rather than another member, who logs in goes on along the line on which that is drawn, and
// arrows are followed.
const (
	plainCost   = 2
	memberCost  = 10
	elseCost    = 10
	againstCost = 100
)

// propose guesses nodes, then logins, protocols and flows from the links.
func propose(d *Drawing) *proposal {
	p := &proposal{drawing: d, guesses: d.guesses(), t: &topology.Topology{}}
	for _, g := range p.guesses {
		p.t.Nodes = append(p.t.Nodes, g.node)
	}
	for _, l := range d.Links {
		p.follow(l)
	}
	p.logins()
	p.protocols()
	for _, source := range p.sources() {
		if f, ok := p.flow(source); ok {
			p.flows = append(p.flows, f)
		}
	}
	return p
}

// follow makes the edges of a link: between all members of its ends, in the directions it is drawn
// with; against its arrow only where nothing else leads on.
func (p *proposal) follow(l Link) {
	from, to := p.members(l.From), p.members(l.To)
	for _, a := range from {
		for _, b := range to {
			if a.name == b.name {
				continue
			}
			cost := a.cost + b.cost
			back := cost
			if l.Direction == Forward {
				back += againstCost
			}
			p.edges = append(p.edges,
				edge{a.name, b.name, cost, l, false},
				edge{b.name, a.name, back, l, l.Direction == Forward})
		}
	}
}

type member struct {
	name string
	cost int
}

// members are the leaf boxes that an end of a link stands for.
func (p *proposal) members(end string) []member {
	var all []member
	hasBroker := false
	for _, n := range p.t.Nodes {
		if n.Name == end {
			return []member{{end, plainCost}}
		}
		if within(n.Name, end) {
			all = append(all, member{n.Name, memberCost})
			hasBroker = hasBroker || n.Kind == topology.Broker
		}
	}
	for i := range all {
		if !hasBroker || p.t.Node(all[i].name).Kind == topology.Broker {
			all[i].cost = plainCost
		}
	}
	return all
}

// logins lets fleets that are linked with a service for it log in there, and go on from it to
// wherever it is linked.
func (p *proposal) logins() {
	for _, g := range p.guesses {
		if !g.auth {
			continue
		}
		for _, in := range slices.Clone(p.edges) {
			fleet := p.t.Node(in.from)
			if in.to != g.node.Name || fleet.Kind != topology.Fleet || fleet.Login != "" {
				continue
			}
			var ways []edge
			for _, on := range p.edges {
				far := p.t.Node(on.to)
				if on.from == g.node.Name && far.Kind != topology.Fleet && far != g.node {
					way := edge{fleet.Name, on.to, in.cost + on.cost, on.link, on.against}
					if on.link.Line != in.link.Line {
						way.cost += elseCost
					}
					ways = append(ways, way)
				}
			}
			if len(ways) > 0 {
				fleet.Login = g.node.Name
				p.edges = append(p.edges, ways...)
			}
		}
	}
	p.edges = slices.DeleteFunc(p.edges, func(e edge) bool {
		from, to := p.t.Node(e.from), p.t.Node(e.to)
		return from.Login == to.Name && from.Login != ""
	})
}

// protocols settles brokers whose name does not tell: those that fleets reach speak mqtt.
func (p *proposal) protocols() {
	for _, e := range p.edges {
		from, to := p.t.Node(e.from), p.t.Node(e.to)
		if from.Kind == topology.Fleet && to.Kind == topology.Broker && to.Protocol == "" {
			to.Protocol = "mqtt"
		}
	}
	for _, n := range p.t.Nodes {
		if n.Kind == topology.Broker && n.Protocol == "" {
			n.Protocol = "kafka"
		}
	}
}

// sources are the fleets; without any, what has links but none that leads to it.
func (p *proposal) sources() []string {
	var fleets, first []string
	for _, n := range p.t.Nodes {
		entered, left := false, false
		for _, e := range p.edges {
			entered = entered || e.to == n.Name && !e.against
			left = left || e.from == n.Name && !e.against
		}
		switch {
		case n.Kind == topology.Fleet:
			fleets = append(fleets, n.Name)
		case (n.Kind == topology.Service || n.Kind == topology.Cloud) && left && !entered:
			first = append(first, n.Name)
		}
	}
	if len(fleets) > 0 {
		return fleets
	}
	return first
}

// flow proposes the cheapest ways from a source to all stores that it reaches, the nearest first; a
// drawing without stores ends where the way is longest.
func (p *proposal) flow(source string) (proposedFlow, bool) {
	reached := p.search(source)
	f := proposedFlow{name: p.flowName(source)}
	ends := p.ends(source, reached)
	if len(ends) == 0 {
		return f, false
	}
	walked := map[string]bool{}
	for _, end := range ends {
		p.line(&f, p.way(reached, source, end), walked)
	}
	return f, true
}

// arrival is how a node is reached at the least cost.
type arrival struct {
	cost int
	by   edge
}

// search finds the cheapest way to every node that a message from source can reach.
func (p *proposal) search(source string) map[string]arrival {
	reached := map[string]arrival{source: {}}
	for changed := true; changed; {
		changed = false
		for _, e := range p.edges {
			here, ok := reached[e.from]
			if !ok || e.to == source || !p.passes(e, e.from == source) {
				continue
			}
			there, known := reached[e.to]
			if cost := here.cost + e.cost; !known || cost < there.cost {
				reached[e.to] = arrival{cost, e}
				changed = true
			}
		}
	}
	return reached
}

// passes says that a message can go along an edge: services, clouds and brokers pass messages on,
// fleets begin them, stores end them, logins see none of them, and a service stands between any two
// brokers.
func (p *proposal) passes(e edge, first bool) bool {
	from, to := p.t.Node(e.from), p.t.Node(e.to)
	switch {
	case to.Kind == topology.Fleet || from.Kind == topology.Store || p.isLogin(to.Name):
		return false
	case from.Kind == topology.Fleet:
		b, broker := claims.Of(to.Protocol)
		return first && to.Kind != topology.Store && (!broker || b.Devices)
	case from.Kind == topology.Broker:
		return to.Kind == topology.Service || to.Kind == topology.Cloud
	default:
		return true
	}
}

func (p *proposal) isLogin(name string) bool {
	return slices.ContainsFunc(p.t.Nodes, func(n *topology.Node) bool { return n.Login == name })
}

func (p *proposal) ends(source string, reached map[string]arrival) []string {
	var stores, others []string
	for _, n := range p.t.Nodes {
		_, ok := reached[n.Name]
		switch {
		case !ok || n.Name == source || n.Kind == topology.Broker:
		case n.Kind == topology.Store:
			stores = append(stores, n.Name)
		default:
			others = append(others, n.Name)
		}
	}
	nearer := func(a, b string) int { return reached[a].cost - reached[b].cost }
	if len(stores) > 0 {
		slices.SortStableFunc(stores, nearer)
		return stores
	}
	slices.SortStableFunc(others, nearer)
	return others[max(0, len(others)-1):]
}

// way is the edges from source to end.
func (p *proposal) way(reached map[string]arrival, source, end string) []edge {
	var back []edge
	for at := end; at != source; at = reached[at].by.from {
		back = append(back, reached[at].by)
	}
	slices.Reverse(back)
	return back
}

// line adds the part of a way that no line before has; walked are the nodes of those.
func (p *proposal) line(f *proposedFlow, way []edge, walked map[string]bool) {
	var elements []string
	for _, e := range way {
		if walked[e.to] {
			continue
		}
		if len(elements) == 0 {
			elements = append(elements, p.element(e.from, f.name))
			walked[e.from] = true
		}
		elements = append(elements, p.element(e.to, f.name))
		walked[e.to] = true
		f.back = f.back || e.against
		if e.link.Direction == Undirected && !slices.Contains(f.loose, e.link) {
			f.loose = append(f.loose, e.link)
		}
	}
	if len(elements) > 0 {
		f.lines = append(f.lines, elements)
	}
}

// element is how a path names a node; a broker's with a channel named like the flow.
func (p *proposal) element(name, flow string) string {
	n := p.t.Node(name)
	switch {
	case n.Kind == topology.Broker && n.Protocol == "mqtt":
		return p.t.Short(name) + "/" + flow + "/:id"
	case n.Kind == topology.Broker:
		return p.t.Short(name) + "/" + flow
	default:
		return p.t.Short(name)
	}
}

// flowName is a name for the flow of a source, one of its own among the flows so far.
func (p *proposal) flowName(source string) string {
	base := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' {
			return r
		}
		return '-'
	}, p.t.Short(source))
	base = strings.Trim(base, "-")
	if base == "" {
		base = "flow"
	}
	name := base
	taken := func(f proposedFlow) bool { return f.name == name }
	for i := 2; slices.ContainsFunc(p.flows, taken); i++ {
		name = fmt.Sprintf("%s-%d", base, i)
	}
	return name
}
