package topology

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Own is a program of the user's own that runs in the place of a node. Exactly one of Command,
// Image, Build and Endpoint is set; all else is about that one.
type Own struct {
	Command  []Value   // program and arguments, run on this machine
	Image    string    // a container image
	Build    string    // a folder with a Dockerfile, as it is to be opened
	Endpoint *Endpoint // something that runs elsewhere
	Dir      string    // the folder that Command runs in, as it is to be opened

	// Env is what its environment has beside the addresses of its neighbours, by name. It is never
	// saved: what stands in it may be secret.
	Env        map[string]Value `json:"-"`
	Ready      Ready
	StopWithin time.Duration // from the request to end until it is killed
	Restart    string        // "never", or "always" when it dies by itself
	// Declares are the policies that it promises of those that its handlers declare; nil is all.
	Declares []string
}

// Correlate are fields of a body, as a program of the user's own is given it and as it passes it on:
// each the names on the way to it, the body's own not among them.
type Correlate struct {
	ID  []string // its values are one message's alone
	Key []string // its values keep their order; empty is the key that the message had
}

// What holds for a program of the user's own where nothing is declared.
const (
	DefaultReadyWithin = 30 * time.Second
	DefaultStopWithin  = 10 * time.Second
	DefaultRestart     = "never"
)

// Ready is how it shows that a replica of a program is ready. At most one of HTTP, TCP and Log is
// set; with none, a program that others call is ready when it takes connections, and one that
// consumes when it has begun to.
type Ready struct {
	HTTP   string        // path that is answered with a status below 400
	TCP    bool          // it takes connections
	Log    string        // what a line of its output has in it, or a regular expression for one
	Within time.Duration // from its start
}

// Matches says whether a line of output is the one that Log waits for.
func (r Ready) Matches(line string) bool {
	if strings.Contains(line, r.Log) {
		return true
	}
	pattern, err := regexp.Compile(r.Log)
	return err == nil && pattern.MatchString(line)
}

// Endpoint is something that runs elsewhere and is never started. Credentials are names of
// environment variables; what stands in these is never saved.
type Endpoint struct {
	Address  string // host:port
	Scheme   string // "http" or "https"; "" is plain bytes
	Path     string // before every request's own path
	TLS      bool
	CA       string // a PEM file of authorities, as it is to be opened; "" takes the machine's own
	User     string // variable with the user name of HTTP basic authentication
	Password string // variable with the password
	Token    string // variable with a bearer token
}

// Value is a text with places to be filled in when a replica starts.
type Value []Part

// Part is a piece of a Value. Exactly one field is set.
type Part struct {
	Text string `json:",omitempty"`
	Wire string `json:",omitempty"` // the addresses of this neighbour, by full name, comma between
	Env  string `json:",omitempty"` // a variable of the user's own environment
	Word string `json:",omitempty"` // "listen", "port" or "replica": the replica's own
}

// valueWords are the places that need no name.
var valueWords = []string{"listen", "port", "replica"}

var placeholder = regexp.MustCompile(`\$(\$|(wire|env)\(([^()]*)\)|([a-z]+)\b)?`)

// ParseValue reads a text with places: $wire(NODE), $env(NAME), $listen, $port, $replica, and $$
// for a dollar. Names of nodes are as written.
func ParseValue(text string) (Value, error) {
	var v Value
	rest := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		v = v.with(Part{Text: text[rest:m[0]]})
		rest = m[1]
		group := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return text[m[2*i]:m[2*i+1]]
		}
		name := strings.TrimSpace(group(3))
		switch word := group(4); {
		case group(1) == "$":
			v = v.with(Part{Text: "$"})
		case group(2) == "wire" && name != "":
			v = v.with(Part{Wire: name})
		case group(2) == "env" && variable.MatchString(name):
			v = v.with(Part{Env: name})
		case slices.Contains(valueWords, word):
			v = v.with(Part{Word: word})
		default:
			return nil, fmt.Errorf("%q is not a place to fill in, accepted: $wire(NODE), "+
				"$env(NAME), $listen, $port, $replica, and $$ for a dollar", text[m[0]:])
		}
	}
	return v.with(Part{Text: text[rest:]}), nil
}

// variable is the name of an environment variable.
var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// with is the value with a part behind it; texts in a row are one.
func (v Value) with(p Part) Value {
	if p == (Part{}) {
		return v
	}
	if last := len(v) - 1; p.Text != "" && last >= 0 && v[last].Text != "" {
		v[last].Text += p.Text
		return v
	}
	return append(v, p)
}

// Fill is the text with every place filled in.
func (v Value) Fill(place func(Part) (string, error)) (string, error) {
	var b strings.Builder
	for _, p := range v {
		text := p.Text
		if text == "" {
			var err error
			if text, err = place(p); err != nil {
				return "", err
			}
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// Runs says that the program is started here, and not elsewhere.
func (o *Own) Runs() bool { return o != nil && o.Endpoint == nil }

// Elsewhere says that the node is something that runs elsewhere.
func (n *Node) Elsewhere() bool { return n.Own != nil && n.Own.Endpoint != nil }

// words are the keys of what runs, as given.
func (o *Own) words() (given []string) {
	for _, w := range []struct {
		word string
		set  bool
	}{
		{"command", len(o.Command) > 0}, {"image", o.Image != ""},
		{"build", o.Build != ""}, {"endpoint", o.Endpoint != nil},
	} {
		if w.set {
			given = append(given, w.word)
		}
	}
	return given
}

// named are the neighbours that the program is told the addresses of by name.
func (o *Own) named() (nodes []string) {
	if o == nil {
		return nil
	}
	values := slices.Clone(o.Command)
	for _, name := range slices.Sorted(maps.Keys(o.Env)) {
		values = append(values, o.Env[name])
	}
	for _, v := range values {
		for _, p := range v {
			if p.Wire != "" {
				nodes = append(nodes, p.Wire)
			}
		}
	}
	return nodes
}

func cloneOwn(o *Own) *Own {
	if o == nil {
		return nil
	}
	c := *o
	c.Endpoint, c.Env = clonePtr(o.Endpoint), maps.Clone(o.Env)
	c.Command, c.Declares = slices.Clone(o.Command), slices.Clone(o.Declares)
	return &c
}
