package topology

import (
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/shlex"

	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// ownFields are the keys of a program of the user's own.
var ownFields = []string{
	"command", "image", "build", "endpoint", "dir", "env", "ready", "stop_within", "restart",
	"declares",
}

// ownReaders read a program of the user's own, which a node gets with the first of them.
func (d *decoder) ownReaders(n *Node) map[string]func(yamlpos.Value) {
	own := func() *Own {
		if n.Own == nil {
			n.Own = &Own{}
		}
		return n.Own
	}
	replaced := false
	// instead is the program when what runs is told: in an overlay that takes the place of what was
	// told before it.
	instead := func(v yamlpos.Value) *Own {
		o := own()
		if d.overlay && !replaced && !isNone(v) {
			kept := o.Endpoint
			if v.IsScalar() || v.IsList() {
				kept = nil
			}
			o.Command, o.Image, o.Build, o.Endpoint = nil, "", "", kept
			replaced = true
		}
		return o
	}
	return map[string]func(yamlpos.Value){
		"command": func(v yamlpos.Value) { instead(v).Command = d.command(v) },
		"image": func(v yamlpos.Value) {
			if d.hasEngine(n) {
				n.Image = textOrNone(v)
				return
			}
			instead(v).Image = textOrNone(v)
		},
		"build":       func(v yamlpos.Value) { instead(v).Build = d.place(v) },
		"endpoint":    func(v yamlpos.Value) { d.endpoint(instead(v), v) },
		"dir":         func(v yamlpos.Value) { own().Dir = d.place(v) },
		"env":         func(v yamlpos.Value) { d.env(own(), v) },
		"ready":       func(v yamlpos.Value) { d.ready(&own().Ready, v) },
		"stop_within": func(v yamlpos.Value) { own().StopWithin = v.Positive() },
		"restart":     func(v yamlpos.Value) { own().Restart = v.OneOf("never", "always") },
		"declares":    func(v yamlpos.Value) { own().Declares = d.declares(v) },
		"correlate":   func(v yamlpos.Value) { n.Correlate = d.correlate(n.Correlate, v) },
	}
}

// hasEngine says that a node is run by an engine of its protocol, which its image is for then.
func (d *decoder) hasEngine(n *Node) bool {
	protocol := d.bodies[n].Get("protocol").Text()
	if protocol == "" {
		protocol = n.Protocol
	}
	return needsProtocol(n.Kind) && protocol != "tcp"
}

func textOrNone(v yamlpos.Value) string {
	if isNone(v) {
		return ""
	}
	return v.String()
}

// place is a file or folder, counted from the topology's own folder.
func (d *decoder) place(v yamlpos.Value) string {
	name := textOrNone(v)
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(d.t.File), name)
}

// command is a list of words, or one text that is split as a shell does.
func (d *decoder) command(v yamlpos.Value) []Value {
	var words []string
	switch {
	case isNone(v):
		return nil
	case v.IsList():
		words = v.Texts()
	default:
		var err error
		if words, err = shlex.Split(v.String()); err != nil {
			v.Errorf("wrong-form", "%q is no command: %v", v.Text(), err)
			return nil
		}
	}
	if len(words) == 0 {
		v.Errorf("wrong-form", "a command has at least one word: the program")
		return nil
	}
	values := make([]Value, len(words))
	for i, word := range words {
		values[i] = d.value(v, word)
		for _, p := range values[i] {
			if p.Env != "" {
				v.Errorf("secret", "$env(%s) would stand on a command line that all can read; "+
					"give it by env: {%s: $env(%s)}", p.Env, p.Env, p.Env)
			}
		}
	}
	return values
}

// value is a text with places, names of nodes in full.
func (d *decoder) value(v yamlpos.Value, text string) Value {
	parts, err := ParseValue(text)
	if err != nil {
		v.Errorf("wrong-form", "%v", err)
		return nil
	}
	for i, p := range parts {
		if p.Wire != "" {
			parts[i].Wire = d.nodeRef(v, p.Wire, Service, Cloud, Broker, Store)
		}
	}
	return parts
}

func (d *decoder) env(o *Own, v yamlpos.Value) {
	if o.Env == nil {
		o.Env = map[string]Value{}
	}
	for _, e := range v.Entries() {
		name := e.Key.Text()
		if !variable.MatchString(name) {
			e.Key.Errorf("wrong-form", "%q is no name of an environment variable", name)
			continue
		}
		o.Env[name] = Value{}
		if e.Value.Text() != "" {
			o.Env[name] = d.value(e.Value, e.Value.String())
		}
	}
}

func (d *decoder) ready(r *Ready, v yamlpos.Value) {
	d.fields(v, map[string]func(yamlpos.Value){
		"http": func(v yamlpos.Value) {
			if r.HTTP = v.String(); r.HTTP != "" && !strings.HasPrefix(r.HTTP, "/") {
				v.Errorf("wrong-form", "%q is no path, a path begins with /", r.HTTP)
			}
		},
		"tcp":    func(v yamlpos.Value) { r.TCP = v.Bool() },
		"log":    func(v yamlpos.Value) { r.Log = v.String() },
		"within": func(v yamlpos.Value) { r.Within = v.Positive() },
	})
	given := 0
	for _, set := range []bool{r.HTTP != "", r.TCP, r.Log != ""} {
		if set {
			given++
		}
	}
	if given > 1 {
		v.Errorf("conflict", "ready has one of http, tcp, log, this one has %d", given)
	}
}

// endpoint is an address, or a mapping with one.
func (d *decoder) endpoint(o *Own, v yamlpos.Value) {
	if isNone(v) {
		o.Endpoint = nil
		return
	}
	if o.Endpoint == nil {
		o.Endpoint = &Endpoint{}
	}
	e := o.Endpoint
	if v.IsScalar() {
		e.address(v)
		return
	}
	tls := yamlpos.Value{}
	d.fields(v, map[string]func(yamlpos.Value){
		"url":      e.address,
		"tls":      func(v yamlpos.Value) { tls = v },
		"ca":       func(v yamlpos.Value) { e.CA = d.place(v) },
		"user":     func(v yamlpos.Value) { e.User = secretName(v) },
		"password": func(v yamlpos.Value) { e.Password = secretName(v) },
		"token":    func(v yamlpos.Value) { e.Token = secretName(v) },
	})
	if tls.Present() {
		e.TLS = tls.Bool()
	}
	if e.Address == "" && !v.Get("url").Present() {
		v.Errorf("missing-key", "an endpoint needs url: host:port, or a URL")
	}
}

// secretName is the name of a variable whose value is never written down.
func secretName(v yamlpos.Value) string {
	name := v.String()
	if name != "" && !variable.MatchString(name) {
		v.Errorf("wrong-form", "a credential is the name of an environment variable, "+
			"what stands here is none")
		return ""
	}
	return name
}

// ports are those of schemes that need not name theirs.
var schemePorts = map[string]string{"http": "80", "https": "443"}

// address reads host:port or a URL.
func (e *Endpoint) address(v yamlpos.Value) {
	text := v.String()
	if text == "" {
		return
	}
	if !strings.Contains(text, "://") {
		host, port, err := net.SplitHostPort(text)
		if err != nil || host == "" || port == "" {
			v.Errorf("wrong-form", "%q is no endpoint, write it as host:port or as a URL", text)
			return
		}
		e.Address, e.Scheme, e.Path = text, "", ""
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "":
		v.Errorf("wrong-form", "the endpoint is no URL of a host and a path")
	case u.User != nil:
		v.Errorf("secret", "credentials do not stand in a file: name the environment variables "+
			"that hold them, endpoint: {url: …, user: NAME, password: NAME}")
	case !slices.Contains([]string{"http", "https", "tcp", "tls"}, u.Scheme):
		v.Errorf("unknown-value", "%q is not accepted here, accepted: http, https, tcp, tls",
			u.Scheme)
	default:
		e.fromURL(v, u)
	}
}

func (e *Endpoint) fromURL(v yamlpos.Value, u *url.URL) {
	port := u.Port()
	if port == "" {
		port = schemePorts[u.Scheme]
	}
	if port == "" {
		v.Errorf("wrong-form", "%q has no port", v.Text())
		return
	}
	e.Address, e.Path = net.JoinHostPort(u.Hostname(), port), strings.TrimSuffix(u.Path, "/")
	e.TLS, e.Scheme = u.Scheme == "https" || u.Scheme == "tls", ""
	if _, web := schemePorts[u.Scheme]; web {
		e.Scheme = u.Scheme
	}
}

// declarable are the policies that a program can promise.
var declarable = []string{
	"retry", "breaker", "bulkhead", "timeout", "rate_limit", "fallback", "dedupe", "ttl",
	"dead_letter",
}

// declares is a list of policies, or none.
func (d *decoder) declares(v yamlpos.Value) []string {
	if isNone(v) {
		return []string{}
	}
	items := v.Items()
	if v.IsScalar() {
		items = []yamlpos.Value{v}
	}
	words := []string{}
	for _, item := range items {
		if word := item.OneOf(declarable...); word != "" {
			words = append(words, word)
		}
	}
	return words
}

// correlate is what is known of it with what is told now, or none.
func (d *decoder) correlate(known *Correlate, v yamlpos.Value) *Correlate {
	if isNone(v) {
		return nil
	}
	c := Correlate{}
	if known != nil {
		c = *known
	}
	d.fields(v, map[string]func(yamlpos.Value){
		"id":  func(v yamlpos.Value) { c.ID = bodyField(v) },
		"key": func(v yamlpos.Value) { c.Key = bodyField(v) },
	})
	if len(c.ID) == 0 && !v.Get("id").Present() {
		v.Errorf("missing-key", "correlate needs id: the field of a body that tells one message "+
			"from another, as body.order_id")
	}
	return &c
}

// bodyField are the names on the way to a field of a body.
func bodyField(v yamlpos.Value) []string {
	names := strings.Split(v.String(), ".")
	if len(names) < 2 || names[0] != "body" || slices.Contains(names, "") {
		if v.Text() != "" {
			v.Errorf("wrong-form", "%q is no field of a body, accepted: body.FIELD, body.OUTER.INNER",
				v.Text())
		}
		return nil
	}
	return names[1:]
}
