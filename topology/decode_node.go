package topology

import (
	"slices"

	"github.com/faultline-sim/faultline/topology/claims"
	"github.com/faultline-sim/faultline/topology/policy"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// The most of anything countable in a topology: one machine runs it all.
const (
	maxCount    = 100_000
	maxReplicas = 1000
	maxBrokers  = 16
	maxParallel = 1024
	maxAttempts = 1000
)

// nodeFields are the keys of a node; what each kind accepts stands in kindFields.
var nodeFields = []string{
	"kind", "protocol", "engine", "count", "replicas", "brokers", "login", "authenticates",
	"session", "quota", "pool", "undrawn", "handlers", "sends", "command", "image", "build",
	"endpoint", "dir", "env", "ready", "stop_within", "restart", "declares", "correlate",
}

var kindFields = map[Kind][]string{
	Fleet: {"kind", "undrawn", "count", "login", "session", "handlers", "sends"},
	Cloud: slices.Concat(ownFields, []string{
		"kind", "undrawn", "protocol", "replicas", "quota", "pool", "session", "authenticates",
		"handlers", "sends", "correlate",
	}),
	Service: slices.Concat(ownFields, []string{
		"kind", "undrawn", "protocol", "replicas", "pool", "session", "authenticates", "handlers",
		"sends", "correlate",
	}),
	Broker: slices.Concat(ownFields, []string{
		"kind", "undrawn", "protocol", "engine", "brokers", "authenticates",
	}),
	Store: slices.Concat(ownFields, []string{"kind", "undrawn", "protocol", "engine"}),
}

// protocols are what each kind may speak.
var protocols = map[Kind][]string{
	Broker:  append(claims.Protocols(), "tcp"),
	Store:   {"postgres", "redis", "s3", "tcp"},
	Service: {"tcp"},
	Cloud:   {"tcp"},
}

// node reads a node's fields.
func (d *decoder) node(n *Node, v yamlpos.Value) {
	d.bodies[n] = v
	if n.Kind == "" {
		return
	}
	if !v.IsMap() {
		v.Entries() // reports the wrong shape
		return
	}
	readers := d.nodeReaders(n)
	var others []string
	for _, name := range nodeFields {
		if slices.Contains(kindFields[n.Kind], name) {
			continue
		}
		v.Get(name).Errorf("wrong-kind", "%q is not for a %s", name, n.Kind)
		others = append(others, name)
		delete(readers, name)
	}
	d.fields(v.Without(others...), readers)
}

func (d *decoder) nodeReaders(n *Node) map[string]func(yamlpos.Value) {
	return with(d.ownReaders(n), map[string]func(yamlpos.Value){
		"kind":     func(v yamlpos.Value) { d.sameKind(n, v) },
		"protocol": func(v yamlpos.Value) { n.Protocol = v.OneOf(protocols[n.Kind]...) },
		"engine":   func(v yamlpos.Value) { n.Engine = v.OneOf("embedded", "process", "container") },
		"count":    func(v yamlpos.Value) { n.Count = v.Int(1, maxCount) },
		"replicas": func(v yamlpos.Value) { n.Replicas = v.Int(1, maxReplicas) },
		"brokers":  func(v yamlpos.Value) { n.Brokers = v.Int(1, maxBrokers) },
		"login":    func(v yamlpos.Value) { n.Login = d.optionalNode(v, Service, Cloud) },
		"authenticates": func(v yamlpos.Value) {
			n.Authenticates = d.optionalNode(v, Service, Cloud)
		},
		"session":  func(v yamlpos.Value) { d.session(&n.Session, v) },
		"quota":    func(v yamlpos.Value) { n.Quota = d.rateLimit(v) },
		"pool":     func(v yamlpos.Value) { n.Pool = v.Int(0, maxCount) },
		"undrawn":  func(v yamlpos.Value) { n.Undrawn = v.String() },
		"handlers": func(v yamlpos.Value) { d.handlers(n, v) },
		"sends":    func(v yamlpos.Value) { d.sends(n, v) },
	})
}

// optionalNode is a node, or "none".
func (d *decoder) optionalNode(v yamlpos.Value, kinds ...Kind) string {
	text := v.String()
	if text == "none" {
		return ""
	}
	return d.nodeRef(v, text, kinds...)
}

func (d *decoder) sameKind(n *Node, v yamlpos.Value) {
	if kind := v.OneOf(kinds...); d.overlay && kind != "" && Kind(kind) != n.Kind {
		v.Errorf("wrong-kind", "the kind of %s stays %s in an overlay", n.Name, n.Kind)
	}
}

func (d *decoder) session(s *Session, v yamlpos.Value) {
	d.fields(v, map[string]func(yamlpos.Value){
		"clean":      func(v yamlpos.Value) { s.Clean = v.Bool() },
		"keep_alive": func(v yamlpos.Value) { s.KeepAlive = v.Duration() },
		"reconnect":  func(v yamlpos.Value) { d.backoff(&s.Reconnect, v) },
		"connect_rate": func(v yamlpos.Value) {
			if !isNone(v) {
				s.ConnectRate, _ = perSecond(v)
				return
			}
			s.ConnectRate = 0
		},
		"inflight": func(v yamlpos.Value) { s.Inflight = v.Int(1, maxCount) },
	})
}

// perSecond is a whole number of things a second.
func perSecond(v yamlpos.Value) (int, bool) {
	n := int(v.Rate())
	if n < 1 {
		v.Errorf("out-of-range", "%q is less than 1/s", v.Text())
	}
	return n, n >= 1
}

// sends reads what a node originates, by flow.
func (d *decoder) sends(n *Node, v yamlpos.Value) {
	for _, e := range v.Entries() {
		flow, value := d.flowKey(e)
		if flow == "" {
			continue
		}
		s := n.Send(flow)
		if s == nil {
			s = &Send{Flow: flow, QoS: DefaultQoS}
			n.Sends = append(n.Sends, s)
		}
		d.at[s] = e.Key
		d.send(s, value)
	}
}

func (d *decoder) send(s *Send, v yamlpos.Value) {
	d.usePolicies(&s.Policy, v)
	d.fields(v, with(d.policyFields(&s.Policy), map[string]func(yamlpos.Value){
		"to":      func(v yamlpos.Value) { s.To = d.target(v) },
		"qos":     func(v yamlpos.Value) { s.QoS = v.Int(0, 2) },
		"body":    func(v yamlpos.Value) { d.sendBody(s, v) },
		"subject": func(v yamlpos.Value) { s.Subject = d.sendExpr(v) },
	}))
	if timeout := v.Get("timeout"); timeout.Present() {
		s.Unbounded = isNone(timeout)
	}
	if retry := v.Get("retry"); retry.Present() {
		s.Once = isNone(retry)
	}
}

func (d *decoder) sendBody(s *Send, v yamlpos.Value) {
	if s.Body == nil {
		s.Body = map[string]string{}
	}
	for _, e := range v.Entries() {
		if text := d.sendExpr(e.Value); text != "" {
			s.Body[e.Key.Text()] = text
		}
	}
}

// sendExpr is an expression over what a sender knows.
func (d *decoder) sendExpr(v yamlpos.Value) string {
	return d.expression(v, CompileSend)
}

// target is "broker/channel" or "service METHOD /path", with the node's full name.
func (d *decoder) target(v yamlpos.Value) string {
	text := v.String()
	if node, method, path, ok := cutCall(text); ok {
		full := d.nodeRef(v, node, Service, Cloud)
		if full == "" {
			return ""
		}
		return full + " " + method + " " + path
	}
	if _, name := cutRef(text); name == "" && text != "" {
		v.Errorf("wrong-form",
			"%q is no target, write it as broker/channel or service METHOD /path", text)
		return ""
	}
	return d.channelRef(v, text)
}

func (d *decoder) rateLimit(v yamlpos.Value) *policy.RateLimit {
	if isNone(v) {
		return nil
	}
	count, per := v.CountPer()
	if count == 0 {
		return nil
	}
	return &policy.RateLimit{Count: count, Per: per}
}

func isNone(v yamlpos.Value) bool { return v.Text() == "none" }
