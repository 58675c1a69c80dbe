package topology

import (
	"fmt"
	"net/url"
	"slices"
)

// infer gives default handlers and sends to nodes without any of their own, from the flows that
// pass them.
//
// A source gets a send to the next element of its flow's first line. Any other node gets one
// handler for each element that comes before it: a subscription behind a channel, "POST /<flow>"
// behind a node, a subscription to the mailbox "<service>/<flow>/:id" for a fleet behind a service.
// A handler passes the message on to each element that comes next: it publishes to channels (a
// mailbox before a fleet), calls services and clouds, stores in stores. Lines that begin at the
// node fork there. Flows behind one channel share a handler, with steps for their own messages.
//
// In a flow with reply_within the first line's channels carry requests: who publishes there awaits
// the answer on ReplyChannel, who takes the message from there replies last, and a store that is
// no sink is looked up rather than written. A flow derived from another begins with a condition in
// the handlers of its parent at its first node. The service that a fleet logs in at answers
// "POST /login" with a token.
func (d *decoder) infer() {
	inf := &inference{decoder: d, open: map[string]bool{}, serves: map[*Handler][]string{}}
	for _, n := range d.t.Nodes {
		carries := n.Kind == Fleet || n.Kind == Cloud || n.Kind == Service
		inf.open[n.Name] = carries && len(n.Handlers) == 0
	}
	for _, f := range d.t.Flows {
		if !d.broken[f] {
			inf.send(f)
			inf.flow(f)
		}
	}
	for _, f := range d.t.Flows {
		if f.DerivedFrom != "" && !d.broken[f] {
			inf.derive(f)
		}
	}
	inf.logins()
	for _, n := range d.t.Nodes {
		if inf.open[n.Name] {
			n.Inferred = len(n.Handlers) > 0
			inf.name(n)
		}
	}
}

// inference is the work of infer.
type inference struct {
	*decoder
	open   map[string]bool       // nodes that get default handlers
	serves map[*Handler][]string // flows of each default handler
}

// visit is one occurrence of a node on a line of a flow's path.
type visit struct {
	flow  *Flow
	line  int
	index int
	turn  int // 1 for the first time the line passes the node, 2 for the second …
}

func (v visit) hop() Hop { return v.flow.Paths[v.line][v.index] }

// before and after are the neighbours on the line, ok false at its ends.
func (v visit) before() (Hop, bool) {
	if v.index == 0 {
		return Hop{}, false
	}
	return v.flow.Paths[v.line][v.index-1], true
}

func (v visit) after() (Hop, bool) {
	if v.index+1 >= len(v.flow.Paths[v.line]) {
		return Hop{}, false
	}
	return v.flow.Paths[v.line][v.index+1], true
}

// visits are the flow's plain nodes, in order.
func visits(f *Flow) []visit {
	var all []visit
	for l, path := range f.Paths {
		turns := map[string]int{}
		for i, hop := range path {
			if hop.Channel == "" {
				turns[hop.Node]++
				all = append(all, visit{flow: f, line: l, index: i, turn: turns[hop.Node]})
			}
		}
	}
	return all
}

// route is the path that a flow's messages are posted to at a node.
func (v visit) route() string {
	path := "/" + url.PathEscape(v.flow.Name)
	if v.turn > 1 {
		path += fmt.Sprintf("/%d", v.turn)
	}
	return path
}

// send completes or makes the send of a flow's source.
func (inf *inference) send(f *Flow) {
	source := inf.t.Node(f.Source())
	if source == nil || f.DerivedFrom != "" || len(f.Paths[0]) < 2 || f.Paths[0][0].Channel != "" {
		return
	}
	s := source.Send(f.Name)
	if s == nil {
		if source.Kind == Broker || source.Kind == Store {
			return
		}
		s = &Send{Flow: f.Name, QoS: DefaultQoS}
		source.Sends = append(source.Sends, s)
		inf.at[s] = inf.at[f]
	}
	if s.Body == nil && f.Key != "" {
		s.Body = map[string]string{f.Key: "id"}
	}
	if s.To != "" {
		return
	}
	switch next := f.Paths[0][1]; {
	case next.Channel != "":
		s.To = next.Channel
	case inf.serving(next.Node):
		turn := visit{flow: f, index: 1, turn: 1 + times(f.Paths[0][:1], next.Node)}
		s.To = next.Node + " POST " + turn.route()
	}
}

func times(hops []Hop, node string) int {
	n := 0
	for _, h := range hops {
		if h.Node == node && h.Channel == "" {
			n++
		}
	}
	return n
}

// serving says that a node answers HTTP.
func (inf *inference) serving(node string) bool {
	n := inf.t.Node(node)
	return n != nil && (n.Kind == Service || n.Kind == Cloud)
}

// flow makes a handler for each way a flow's messages come to an open node.
func (inf *inference) flow(f *Flow) {
	for _, v := range visits(f) {
		n := inf.t.Node(v.hop().Node)
		in, ok := v.before()
		if !ok || n == nil || !inf.open[n.Name] {
			continue
		}
		if h, fresh := inf.handler(n, v, in); h != nil && fresh {
			h.Do = append(h.Do, inf.onward(v)...)
		}
	}
}

// handler is the default handler for messages of a flow that come from in; fresh says that the
// flow had none there yet.
func (inf *inference) handler(n *Node, v visit, in Hop) (h *Handler, fresh bool) {
	want := Handler{Name: v.flow.Name}
	switch from := inf.t.Node(in.Node); {
	case in.Channel != "":
		want.Subscribe = in.Channel
	case n.Kind == Fleet && inf.serving(in.Node):
		want.Subscribe = mailbox(in.Node, v.flow)
	case n.Kind != Fleet && from != nil && from.Kind != Store:
		want.HTTP = "POST " + v.route()
	default:
		return nil, false
	}
	for _, h := range n.Handlers {
		if h.Subscribe == want.Subscribe && h.HTTP == want.HTTP {
			fresh = !slices.Contains(inf.serves[h], v.flow.Name)
			if fresh {
				inf.serves[h] = append(inf.serves[h], v.flow.Name)
			}
			return h, fresh
		}
	}
	for i := 2; n.Handler(want.Name) != nil; i++ {
		want.Name = fmt.Sprintf("%s %d", v.flow.Name, i)
	}
	n.Handlers = append(n.Handlers, &want)
	inf.at[&want] = inf.at[v.flow]
	inf.fresh = append(inf.fresh, &want)
	inf.serves[&want] = []string{v.flow.Name}
	return &want, true
}

func mailbox(service string, f *Flow) string {
	return service + "/" + url.PathEscape(f.Name) + "/:id"
}

// onward are the steps that pass a message on from a visited node.
func (inf *inference) onward(v visit) []*Step {
	var steps []*Step
	add := func(s *Step) {
		if s != nil && !slices.ContainsFunc(steps, func(o *Step) bool { return sameEnd(o, s) }) {
			s.Flows = []string{v.flow.Name}
			steps = append(steps, s)
		}
	}
	for _, other := range visits(v.flow) {
		fork := other.index == 0 && other.line > 0 && v.turn == 1
		if other.hop() == v.hop() && (fork || v.joins(other)) {
			add(inf.toNext(other))
		}
	}
	in, _ := v.before()
	if v.flow.ReplyWithin > 0 && v.line == 0 && in.Channel != "" {
		add(&Step{Kind: Reply, Status: DefaultStatus})
	}
	return steps
}

// joins says that messages come to two visits of a node by the same way.
func (v visit) joins(other visit) bool {
	ours, _ := v.before()
	theirs, _ := other.before()
	return ours == theirs && v.turn == other.turn
}

func sameEnd(a, b *Step) bool {
	return a.Kind == b.Kind && a.Target == b.Target && a.Path == b.Path
}

// toNext is the step to the element behind a visit, nil at the end of a line.
func (inf *inference) toNext(v visit) *Step {
	next, ok := v.after()
	far := inf.t.Node(next.Node)
	if !ok || far == nil {
		return nil
	}
	asks := v.flow.ReplyWithin > 0 && v.line == 0
	switch {
	case next.Channel != "" && asks && far.Kind == Broker:
		return &Step{Kind: Request, Target: next.Channel, ReplyTo: ReplyChannel(next.Channel)}
	case next.Channel != "":
		return &Step{Kind: Publish, Target: next.Channel}
	case far.Kind == Fleet && inf.serving(v.hop().Node):
		return &Step{Kind: Publish, Target: mailbox(v.hop().Node, v.flow)}
	case far.Kind == Store && asks && !v.flow.ends(far.Name):
		return &Step{Kind: Lookup, Target: far.Name, Path: DefaultTable}
	case far.Kind == Store:
		return &Step{Kind: StoreStep, Target: far.Name, Path: DefaultTable}
	case inf.serving(far.Name):
		line := v.flow.Paths[v.line]
		there := visit{flow: v.flow, turn: 1 + times(line[:v.index+1], far.Name)}
		return &Step{Kind: Call, Target: far.Name, Method: "POST", Path: there.route()}
	}
	return nil
}

// ends says that a node is one of the flow's declared sinks.
func (f *Flow) ends(node string) bool {
	return slices.ContainsFunc(f.Sinks, func(s Sink) bool { return s.Node == node })
}

// derive begins a derived flow in its parent's default handlers at its first node.
func (inf *inference) derive(f *Flow) {
	n := inf.t.Node(f.Source())
	if n == nil || !inf.open[n.Name] {
		return
	}
	first := visit{flow: f, turn: 1}
	for _, h := range n.Handlers {
		if !slices.Contains(inf.serves[h], f.DerivedFrom) {
			continue
		}
		born := inf.onward(first)
		for _, s := range born {
			s.Derive, s.Flows = f.Name, []string{f.DerivedFrom}
		}
		if f.When != "" && len(born) > 0 {
			for _, s := range born {
				s.Flows = nil
			}
			born = []*Step{{Kind: When, Cond: f.When, Flows: []string{f.DerivedFrom}, Do: born}}
		}
		h.Do = append(h.Do, born...)
	}
}

// logins lets services that fleets log in at issue tokens.
func (inf *inference) logins() {
	for _, fleet := range inf.t.Nodes {
		n := inf.t.Node(fleet.Login)
		if n == nil || !inf.open[n.Name] || n.issues() {
			continue
		}
		h := &Handler{Name: "login", HTTP: "POST /login", Do: []*Step{{Kind: Issue}}}
		inf.serves[h] = []string{""}
		inf.at[h] = inf.at[n]
		n.Handlers = append(n.Handlers, h)
	}
}

// issues says that one of the node's handlers answers with a token.
func (n *Node) issues() bool {
	for _, h := range n.Handlers {
		for s := range h.Steps() {
			if s.Kind == Issue && h.HTTP != "" {
				return true
			}
		}
	}
	return false
}

// name names a node's default steps, those of a handler for one flow free of its name.
func (inf *inference) name(n *Node) {
	for _, h := range n.Handlers {
		for s := range h.Steps() {
			if len(inf.serves[h]) == 1 {
				s.Flows = nil
			}
			inf.at[s] = inf.at[h]
		}
		inf.nameSteps(h)
	}
}
