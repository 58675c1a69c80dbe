package scenarios

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// moment is a time in the file: a plain one, or one that leans on another act.
type moment struct {
	value  yamlpos.Value
	of     string // the act it leans on, "" for none
	atEnd  bool
	offset time.Duration
}

var relative = regexp.MustCompile(`^\s*(.+)\.(start|end)\s*(?:([+-])\s*(\S+))?\s*$`)

// moment reads "20s", "outage.end" or "outage.start + 1s".
func (p *parser) moment(v yamlpos.Value) moment {
	m := moment{value: v}
	parts := relative.FindStringSubmatch(v.Text())
	if parts == nil {
		m.offset = p.phase(v)
		return m
	}
	m.of, m.atEnd = parts[1], parts[2] == "end"
	if parts[3] == "" {
		return m
	}
	d, err := time.ParseDuration(parts[4])
	switch {
	case err != nil || d < 0:
		v.Errorf("wrong-unit", "%q is not a duration, write the time as outage.end + 1s", parts[4])
	case d > longestPhase:
		v.Errorf("out-of-range", "%s is longer than anything may take here, at most %s", d,
			longestPhase)
	case parts[3] == "-":
		m.offset = -d
	default:
		m.offset = d
	}
	return m
}

// settle gives every act its time. Acts that lean on each other in a circle, or on one that is not
// there, are reported.
func (p *parser) settle() {
	byName := map[string]*rawAct{}
	for i := range p.acts {
		byName[p.acts[i].act.Name] = &p.acts[i]
	}
	for i := range p.acts {
		p.settleOne(&p.acts[i], byName, nil)
	}
}

func (p *parser) settleOne(a *rawAct, byName map[string]*rawAct, path []string) {
	if a.settled {
		return
	}
	m := a.at
	if m.of == "" {
		a.act.At, a.settled = m.offset, true
		return
	}
	other, ok := byName[m.of]
	switch {
	case !ok:
		m.value.Errorf("unknown-act", "no act of the timeline is called %q, %s", m.of,
			diag.Expected(m.of, slices.Collect(maps.Keys(byName))))
		a.settled = true
		return
	case slices.Contains(path, a.act.Name):
		m.value.Errorf("cycle", "the time of %q leans on itself: %s", a.act.Name,
			strings.Join(append(path[slices.Index(path, a.act.Name):], a.act.Name), " -> "))
		a.settled = true
		return
	}
	p.settleOne(other, byName, append(path, a.act.Name))
	a.act.At, a.settled = other.act.At+m.offset, true
	if m.atEnd {
		a.act.At += other.act.End() - other.act.At
	}
	switch {
	case a.act.At < 0:
		m.value.Errorf("out-of-range", "%q begins %s before the timeline does", a.act.Name,
			-a.act.At)
		a.act.At = 0
	case a.act.At > longestPhase:
		m.value.Errorf("out-of-range", "%q begins at %s, a timeline has at most %s", a.act.Name,
			a.act.At, longestPhase)
		a.act.At = longestPhase
	}
}
