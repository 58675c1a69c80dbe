package topology

import (
	"iter"
	"slices"
	"strings"
)

// Node is the node with a full name, nil when there is none.
func (t *Topology) Node(name string) *Node {
	for _, n := range t.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Channel is the channel with a full reference, nil when there is none.
func (t *Topology) Channel(ref string) *Channel {
	for _, c := range t.Channels {
		if c.Ref == ref {
			return c
		}
	}
	return nil
}

// Flow is the flow with a name, nil when there is none.
func (t *Topology) Flow(name string) *Flow {
	for _, f := range t.Flows {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Handler is the node's handler with a name, nil when there is none.
func (n *Node) Handler(name string) *Handler {
	for _, h := range n.Handlers {
		if h.Name == name {
			return h
		}
	}
	return nil
}

// Send is the node's send for a flow, nil when there is none.
func (n *Node) Send(flow string) *Send {
	for _, s := range n.Sends {
		if s.Flow == flow {
			return s
		}
	}
	return nil
}

// Source is the channel whose deliveries start the handler, "" for other triggers.
func (h *Handler) Source() string {
	if h.Batch != nil {
		return h.Batch.Channel
	}
	return h.Subscribe
}

// RetryChannel is where messages wait for the handler's next attempt, "" where it retries by itself.
func (h *Handler) RetryChannel() string {
	if h.Policy.Retry == nil {
		return ""
	}
	return h.Policy.Retry.Channel
}

// Sources are the channels that the handler takes messages from: its source and its retry channel.
func (h *Handler) Sources() []string {
	var all []string
	for _, ref := range [...]string{h.Source(), h.RetryChannel()} {
		if ref != "" {
			all = append(all, ref)
		}
	}
	return all
}

// Steps are all steps of the handler in order, each followed by those under its own do.
func (h *Handler) Steps() iter.Seq[*Step] {
	return func(yield func(*Step) bool) { walkSteps(h.Do, yield) }
}

func walkSteps(steps []*Step, yield func(*Step) bool) bool {
	for _, s := range steps {
		if !yield(s) || !walkSteps(s.Do, yield) {
			return false
		}
	}
	return true
}

// For says that the step is for messages of a flow.
func (s *Step) For(flow string) bool {
	return len(s.Flows) == 0 || slices.Contains(s.Flows, flow)
}

// FarNode is the node that a step talks to, "" for steps that stay at home.
func (s *Step) FarNode() string {
	switch s.Kind {
	case Call, StoreStep, Lookup:
		return s.Target
	case Publish, Request:
		return ChannelNode(s.Target)
	default:
		return ""
	}
}

// Channel is the full reference of the channel that the send publishes to, "" when it is HTTP.
func (s *Send) Channel() string {
	if _, _, _, ok := cutCall(s.To); ok {
		return ""
	}
	return s.To
}

// HTTP is the service, method and path of a send over HTTP; all are "" when it publishes.
func (s *Send) HTTP() (node, method, path string) {
	node, method, path, _ = cutCall(s.To)
	return node, method, path
}

// FarNode is the node that the send talks to.
func (s *Send) FarNode() string {
	if node, _, _, ok := cutCall(s.To); ok {
		return node
	}
	return ChannelNode(s.To)
}

// cutCall takes "service METHOD /path" apart; ok is false for anything else.
func cutCall(text string) (node, method, path string, ok bool) {
	text = strings.TrimSpace(text)
	at := strings.LastIndex(text, " /")
	if at < 0 {
		return "", "", "", false
	}
	before := strings.TrimSpace(text[:at])
	space := strings.LastIndex(before, " ")
	if space < 0 || !slices.Contains(methods, before[space+1:]) {
		return "", "", "", false
	}
	return strings.TrimSpace(before[:space]), before[space+1:], text[at+1:], true
}

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

// Route is a handler's HTTP trigger as method and path; both are "" for other triggers.
func (h *Handler) Route() (method, path string) {
	method, path, _ = strings.Cut(h.HTTP, " ")
	return method, path
}

// Answers says that the handler's HTTP trigger takes a request; a segment that begins with ":" on
// either side takes any.
func (h *Handler) Answers(method, path string) bool {
	m, p := h.Route()
	if h.HTTP == "" || m != method {
		return false
	}
	ours, theirs := strings.Split(p, "/"), strings.Split(path, "/")
	if len(ours) != len(theirs) {
		return false
	}
	for i := range ours {
		free := strings.HasPrefix(ours[i], ":") || strings.HasPrefix(theirs[i], ":")
		if !free && ours[i] != theirs[i] {
			return false
		}
	}
	return true
}

// Consumers are the nodes that take messages from a channel, in the topology's order.
func (t *Topology) Consumers(ref string) []*Node {
	var found []*Node
	for _, n := range t.Nodes {
		if slices.ContainsFunc(n.Handlers, func(h *Handler) bool {
			return slices.Contains(h.Sources(), ref)
		}) {
			found = append(found, n)
		}
	}
	return found
}

// DeadLetterChannel is where a channel's messages are dead-lettered unless something else is
// declared: its name without ":id" segments, with ".dead" behind it, on the same broker.
func DeadLetterChannel(ref string) string { return derivedChannel(ref, ".dead", false) }

// ReplyChannel is where the answers to requests on a channel arrive unless something else is
// declared: ".reply" stands behind the first segment of the name ("mqtt/command/:id" is answered on
// "mqtt/command.reply/:id").
func ReplyChannel(ref string) string { return derivedChannel(ref, ".reply", true) }

func derivedChannel(ref, ending string, keepIDs bool) string {
	segments := strings.Split(ChannelName(ref), "/")
	if keepIDs {
		segments[0] += ending
		return ChannelNode(ref) + "/" + strings.Join(segments, "/")
	}
	segments = slices.DeleteFunc(segments, func(s string) bool { return strings.HasPrefix(s, ":") })
	return ChannelNode(ref) + "/" + strings.Join(segments, "/") + ending
}

// ConsumerGroup is the group that the handler of a node takes messages in.
func (h *Handler) ConsumerGroup(n *Node) string {
	if h.Group != "" {
		return h.Group
	}
	return n.Name
}
