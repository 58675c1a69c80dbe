package conformance

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/claims"
	"github.com/faultline-sim/faultline/topology/features"
)

var (
	matrix = flag.Bool("matrix", false, "print what each broker's engine was found to do, as a table")
	sets   = flag.String("sets", "", "sorts of engines to test, by comma; default: those that need no Docker")
)

// property is one promise of a broker's client, and the test that holds an engine to it.
type property struct {
	name string
	// claimed says whether a protocol makes the promise; nil is every one.
	claimed func(claims.Broker) bool
	// able says whether an engine can be asked; nil is every one.
	able func(features.Features) bool
	test func(b *bench)
}

// properties are the rows of the conformance matrix. What is claimed in topology/claims stands
// here, or it is no claim.
func properties() []property {
	return slices.Concat(deliveryProperties(), groupProperties(), deadProperties(),
		keepingProperties(), faultProperties(), refusalProperties())
}

// outcome is a cell of the matrix.
type outcome struct{ protocol, set, property, result string }

// What a cell may say.
const (
	passed       = "pass"
	failed       = "FAIL"
	notClaimed   = "-"
	notAvailable = "n/a"
	notRun       = "not run" // by -run
)

var outcomes struct {
	sync.Mutex
	all []outcome
}

func record(o outcome) {
	outcomes.Lock()
	defer outcomes.Unlock()
	outcomes.all = append(outcomes.all, o)
}

// TestBrokers holds every broker's client, on every engine of it that the machine has, to what the
// protocol claims.
func TestBrokers(t *testing.T) {
	for _, protocol := range claims.Protocols() {
		for _, set := range setsUnderTest() {
			node := &topology.Node{Protocol: protocol, Brokers: 1}
			f, ok := features.Of(set, node)
			if !ok {
				continue
			}
			t.Run(protocol+"/"+string(set), func(t *testing.T) {
				column := func(result string) {
					for _, p := range properties() {
						record(outcome{protocol, string(set), p.name, result})
					}
				}
				begun := false
				defer func() {
					if !begun && t.Skipped() {
						column(notAvailable)
					}
				}()
				s := newSite(t, protocol, set)
				begun = true
				for _, p := range properties() {
					hold(t, s, p, f, string(set))
				}
			})
		}
	}
}

// hold tests one property on one site, and notes the outcome.
func hold(t *testing.T, s *site, p property, f features.Features, set string) {
	result := passed
	switch {
	case p.claimed != nil && !p.claimed(s.claims), p.able != nil && !p.able(f):
		result = notClaimed
	default:
		begun := false
		held := t.Run(strings.ReplaceAll(p.name, " ", "-"), func(t *testing.T) {
			begun = true
			p.test(&bench{site: s, TB: t, name: strings.ReplaceAll(p.name, " ", "-")})
		})
		switch {
		case !begun:
			result = notRun
		case !held:
			result = failed
		}
	}
	record(outcome{s.claims.Protocol, set, p.name, result})
}

func setsUnderTest() []features.Set {
	if *sets == "" {
		return localSets
	}
	var all []features.Set
	for _, s := range strings.Split(*sets, ",") {
		all = append(all, features.Set(s))
	}
	return all
}

// TestMain prints the matrix behind the tests' own output.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if *matrix {
		printMatrix()
	}
	os.Exit(code)
}

// printMatrix writes the outcomes as a Markdown table: a row a property, a column an engine. A cell
// is pass, FAIL, - for what is not claimed, or n/a where the machine has no such engine.
func printMatrix() {
	var columns []string
	cells := map[string]string{}
	for _, o := range outcomes.all {
		column := o.protocol + " " + o.set
		if !slices.Contains(columns, column) {
			columns = append(columns, column)
		}
		cells[column+"/"+o.property] = o.result
	}
	fmt.Printf("\n| property | %s |\n|%s\n", strings.Join(columns, " | "),
		strings.Repeat(" --- |", len(columns)+1))
	for _, p := range properties() {
		row := []string{p.name}
		for _, c := range columns {
			row = append(row, cells[c+"/"+p.name])
		}
		fmt.Printf("| %s |\n", strings.Join(row, " | "))
	}
}
