package program

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
)

// Program is a node's handlers made ready to run: expressions and schemas compiled, wires named, far
// ends gathered. Actors share it and do not change it.
type Program struct {
	Node     *topology.Node
	Handlers []*Handler
	Channels map[string][]*topology.Channel // brokers dialled to the channels used there
	Tables   map[string][]string            // stores dialled to the tables used there
	Callees  []string                       // services and clouds called
	Boxes    []string                       // channels that the node itself keeps
	Sinks    map[string]bool                // flows that end at the node
	replies  []string                       // channels that answers to requests arrive on
	guards   int                            // how many guards an actor needs
	member   func(fleet, text string) string
}

// Handler is one declared handler.
type Handler struct {
	*topology.Handler
	Source    string // the channel its deliveries come from, "" for other triggers
	steps     []*step
	guard     int
	wire      string
	attempts  int // runs of the steps over one delivery, at most
	backoff   policy.Backoff
	permanent []string
	ttl       time.Duration
	native    bool               // the broker counts attempts and dead-letters
	dead      *policy.DeadLetter // with its channel filled in; nil when none is declared
	known     string             // the table that dedupe remembers in
	delivered *simulators.Tally
}

// Final says that a failure of the handler is permanent, as it is declared.
func (h *Handler) Final(f *simulators.Failure) bool { return f.Final(h.permanent) }

// step is one declared step.
type step struct {
	*topology.Step
	guard   int
	wire    string
	born    string // by whom derived messages are born
	span    uint64
	local   bool   // publishes to a mailbox of the own service
	issuer  string // call: the service whose tokens the far end asks for, "" for none
	do      []*step
	act     action
	cond    *topology.Expression
	subject *topology.Expression
	key     *topology.Expression
	schema  *jsonschema.Schema
	mu      float64 // work: ln of the median, in ns
	sigma   float64
}

// Compile makes a node's program.
func Compile(t *topology.Topology, node *topology.Node) (*Program, error) {
	p := &Program{
		Node:     node,
		Channels: map[string][]*topology.Channel{},
		Tables:   map[string][]string{},
		Sinks:    map[string]bool{},
		member:   t.MemberFor,
	}
	for _, f := range t.Flows {
		for _, s := range f.Sinks {
			p.Sinks[f.Name] = p.Sinks[f.Name] || s.Node == node.Name
		}
	}
	for _, c := range t.Channels {
		if c.Node() == node.Name {
			p.Boxes = append(p.Boxes, c.Ref)
		}
	}
	for _, declared := range node.Handlers {
		h, err := p.handler(t, declared)
		if err != nil {
			return nil, fmt.Errorf("compile handler %q: %w", declared.Name, err)
		}
		p.Handlers = append(p.Handlers, h)
	}
	p.gather(t)
	return p, nil
}

func (p *Program) handler(t *topology.Topology, declared *topology.Handler) (*Handler, error) {
	h := &Handler{
		Handler: declared, guard: p.nextGuard(), Source: declared.Source(),
		attempts: 1, ttl: declared.Policy.TTL, delivered: new(simulators.Tally),
	}
	if h.Concurrency < 1 {
		return nil, fmt.Errorf("concurrency is %d, at least 1 is needed", h.Concurrency)
	}
	if r := declared.Policy.Retry; r != nil {
		h.attempts, h.backoff, h.permanent = max(1, r.Attempts), r.Backoff, r.Permanent
	}
	if h.Source != "" {
		h.wire = p.WireTo(topology.ChannelNode(h.Source))
	}
	channel := t.Channel(h.Source)
	if h.ttl == 0 && channel != nil {
		h.ttl = channel.TTL
	}
	h.deadLetter(channel)
	if d := declared.Policy.Dedupe; d != nil && d.In != "" {
		h.known = "dedupe_" + declared.Name
		p.addTable(d.In, h.known)
	}
	var err error
	h.steps, err = p.steps(t, h, declared.Do)
	return h, err
}

// deadLetter fills in where the handler's dead letters go: as declared on the handler, else on its
// channel.
func (h *Handler) deadLetter(channel *topology.Channel) {
	declared := h.Policy.DeadLetter
	if declared == nil && channel != nil {
		declared = channel.DeadLetter
	}
	if declared == nil {
		return
	}
	dead := *declared
	if dead.Channel == "" && h.Source != "" {
		dead.Channel = topology.DeadLetterChannel(h.Source)
	}
	h.native = dead.Native && !dead.Dropped
	switch {
	case h.native:
		h.attempts = 1 // in one delivery; the broker counts deliveries
	case dead.Attempts > 0:
		h.attempts = dead.Attempts
	}
	h.dead = &dead
}

func (p *Program) steps(
	t *topology.Topology, h *Handler, declared []*topology.Step,
) ([]*step, error) {
	var steps []*step
	for _, d := range declared {
		s, err := p.step(t, h, d)
		if err != nil {
			return nil, fmt.Errorf("compile step %q: %w", d.Name, err)
		}
		steps = append(steps, s)
	}
	return steps, nil
}

func (p *Program) step(
	t *topology.Topology, h *Handler, declared *topology.Step,
) (s *step, err error) {
	s = &step{
		Step: declared, guard: p.nextGuard(), act: actions[declared.Kind],
		born: p.Node.Name + "/" + h.Name + "/" + declared.Name,
	}
	if s.act == nil {
		return nil, fmt.Errorf("nobody knows how to do a step of kind %q", declared.Kind)
	}
	hash := fnv.New64a()
	hash.Write([]byte(s.born))
	s.span = hash.Sum64()
	switch far := declared.FarNode(); {
	case far == p.Node.Name && declared.Kind != topology.Publish:
		return nil, fmt.Errorf("%q talks to itself", far)
	case far == p.Node.Name:
		s.local = true
	case far != "":
		s.wire = p.WireTo(far)
	}
	s.mu, s.sigma = logNormal(declared.P50, declared.P99)
	if s.do, err = p.steps(t, h, declared.Do); err != nil {
		return nil, err
	}
	if far := t.Node(declared.FarNode()); far != nil && declared.Kind == topology.Call {
		s.issuer = far.Authenticates
	}
	return s, s.compileTexts()
}

func (s *step) compileTexts() (err error) {
	if s.Cond != "" {
		if s.cond, err = topology.CompileCondition(s.Cond); err != nil {
			return err
		}
	}
	if s.Derive != "" && s.Subject != "" {
		if s.subject, err = topology.CompileText(s.Subject); err != nil {
			return err
		}
	}
	if s.Derive != "" && s.Key != "" {
		if s.key, err = topology.CompileText(s.Key); err != nil {
			return err
		}
	}
	if s.Schema != "" {
		s.schema, err = topology.CompileSchema(s.Schema)
	}
	return err
}

// logNormal is the parameters of the log-normal distribution with a median and a 99th percentile.
func logNormal(p50, p99 time.Duration) (mu, sigma float64) {
	if p50 <= 0 {
		return math.Inf(-1), 0
	}
	const z99 = 2.3263478740408408 // the standard normal's 99th percentile
	mu = math.Log(float64(p50))
	if p99 > p50 {
		sigma = (math.Log(float64(p99)) - mu) / z99
	}
	return mu, sigma
}

func (p *Program) nextGuard() int {
	p.guards++
	return p.guards - 1
}

// WireTo is the wire from the node to another, as events name it.
func (p *Program) WireTo(far string) string {
	return topology.Wire{From: p.Node.Name, To: far}.String()
}

// gather finds the far ends that the handlers talk to.
func (p *Program) gather(t *topology.Topology) {
	for _, h := range p.Handlers {
		for _, ref := range h.Sources() {
			p.addChannel(t, ref)
		}
		if h.dead != nil && !h.dead.Dropped {
			p.addChannel(t, h.dead.Channel)
		}
		for s := range h.Steps() {
			p.gatherStep(t, s)
		}
	}
}

func (p *Program) gatherStep(t *topology.Topology, s *topology.Step) {
	switch s.Kind {
	case topology.Publish:
		p.addChannel(t, s.Target)
	case topology.Request:
		p.addChannel(t, s.Target)
		p.addChannel(t, s.ReplyTo)
		if !slices.Contains(p.replies, s.ReplyTo) {
			p.replies = append(p.replies, s.ReplyTo)
		}
	case topology.StoreStep, topology.Lookup:
		p.addTable(s.Target, s.Path)
	case topology.Call:
		if s.Target != p.Node.Name && !slices.Contains(p.Callees, s.Target) {
			p.Callees = append(p.Callees, s.Target)
		}
	}
}

// addChannel notes a channel of a broker; one that the topology does not declare (a dead-letter or
// reply channel) is made with the protocol's defaults.
func (p *Program) addChannel(t *topology.Topology, ref string) {
	broker := topology.ChannelNode(ref)
	if n := t.Node(broker); ref == "" || n == nil || n.Kind != topology.Broker {
		return
	}
	same := func(c *topology.Channel) bool { return c.Ref == ref }
	if slices.ContainsFunc(p.Channels[broker], same) {
		return
	}
	c := t.Channel(ref)
	if c == nil {
		c = &topology.Channel{Ref: ref}
	}
	p.Channels[broker] = append(p.Channels[broker], c)
}

func (p *Program) addTable(store, table string) {
	if !slices.Contains(p.Tables[store], table) {
		p.Tables[store] = append(p.Tables[store], table)
	}
}
