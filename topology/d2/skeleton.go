package d2

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/faultline-sim/faultline/topology"
)

// Skeleton is the first draft of a drawing's topology, as YAML. It loads without mistakes. Whatever
// the drawing cannot tell is guessed and marked with "# choose:": kinds, protocols, logins, the
// direction of links drawn without one, and flows along the links from fleets to stores.
func Skeleton(d *Drawing) []byte {
	p := propose(d)
	text := p.print(d)
	if t, diags := topology.Parse(d.File, text, topology.Options{}); !diags.Empty() {
		p.flows = nil // a guess that does not load is no help
		return p.print(d)
	} else if left := uncarried(t, d); len(left) > 0 {
		text = append(text, "\n# choose: flows for the links that no flow above uses:\n"...)
		for _, l := range left {
			text = fmt.Appendf(text, "#   %s (line %d)\n", l, l.Line)
		}
	}
	return text
}

// uncarried are the links that a topology leaves unused.
func uncarried(t *topology.Topology, d *Drawing) []Link {
	var left []Link
	for _, l := range Drift(t, d).Links {
		if len(l.By) == 0 {
			left = append(left, l.Link)
		}
	}
	return left
}

func (p *proposal) print(d *Drawing) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# A first draft, made from %s. Each line with \"choose:\" is a guess: check "+
		"it,\n# correct it, and take the remark away.\n", filepath.Base(d.File))
	name := strings.TrimSuffix(filepath.Base(d.File), filepath.Ext(d.File))
	fmt.Fprintf(&b, "topology: %s\ndrawing: %s\n", scalar(name), scalar(d.File))
	fmt.Fprintf(&b, "\nnodes:\n")
	for _, g := range p.guesses {
		p.printNode(&b, g)
	}
	if len(p.flows) == 0 {
		fmt.Fprintf(&b, "\n# choose: flows; no way along the links leads from a fleet to a store\n")
		return b.Bytes()
	}
	fmt.Fprintf(&b, "\nflows:\n")
	for _, f := range p.flows {
		f.print(&b)
	}
	return b.Bytes()
}

func (p *proposal) printNode(b *bytes.Buffer, g guess) {
	fmt.Fprintf(b, "  %s:\n    kind: %s # choose: fleet, cloud, service, broker or store; %s\n",
		scalar(g.node.Name), g.node.Kind, g.why)
	switch g.node.Kind {
	case topology.Broker:
		fmt.Fprintf(b, "    protocol: %s # choose: kafka or mqtt\n", g.node.Protocol)
	case topology.Store:
		fmt.Fprintf(b, "    protocol: %s # choose: postgres, redis or s3\n", g.node.Protocol)
	case topology.Fleet:
		fmt.Fprintf(b, "    count: 10 # choose: how many there are\n")
	}
	if g.node.Login != "" {
		fmt.Fprintf(b, "    login: %s # choose: a login, or a service that messages pass through\n",
			scalar(p.t.Short(g.node.Login)))
	}
}

func (f proposedFlow) print(b *bytes.Buffer) {
	fmt.Fprintf(b, "  %s: # choose: a name, and whether messages take this way\n", scalar(f.name))
	if len(f.loose) > 0 {
		fmt.Fprintf(b, "    # choose: the direction; %d links on this way are drawn without one\n",
			len(f.loose))
	}
	if f.back {
		fmt.Fprintf(b, "    # choose: the direction; a link is followed against its arrow\n")
	}
	if len(f.lines) == 1 {
		fmt.Fprintf(b, "    path: %s\n", scalar(strings.Join(f.lines[0], " -> ")))
	} else {
		fmt.Fprintf(b, "    path:\n")
		for _, line := range f.lines {
			fmt.Fprintf(b, "      - %s\n", scalar(strings.Join(line, " -> ")))
		}
	}
	fmt.Fprintf(b, "    guarantee: %s # choose: at-least-once, exactly-once or at-most-once\n",
		topology.DefaultGuarantee)
}

// plainText is a text that YAML reads as that text without quotes: a name, or a path of names and
// channels.
var plainText = regexp.MustCompile(
	`^[\pL\pN_][\pL\pN_.\-]*( -> [\pL\pN_][\pL\pN_.\-]*(/[\pL\pN_.:\-]+)*)*$`)

// scalar writes a text as a YAML value, in quotes where YAML would read something else.
func scalar(s string) string {
	if plainText.MatchString(s) && !meansOther(s) {
		return s
	}
	var quoted bytes.Buffer
	enc := json.NewEncoder(&quoted)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return strconv.Quote(s)
	}
	return strings.TrimSpace(quoted.String())
}

// meansOther says that YAML reads a plain word as a number, a date or a truth value.
func meansOther(s string) bool {
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		return true
	}
	_, err := strconv.ParseFloat(s, 64)
	digit := s[0] >= '0' && s[0] <= '9' || s[0] == '_'
	return err == nil || digit && strings.Trim(s, "0123456789_.-xobtzXOBTZabcdefABCDEF") == ""
}
