package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/process"
	"github.com/faultline-sim/faultline/topology/features"
)

// engineChoices are what --engines accepts.
var engineChoices = []string{"embedded", "containers", "auto"}

func enginesFlag(c *cobra.Command, engines *string) {
	c.Flags().StringVar(engines, "engines", "auto",
		"what runs behind brokers and stores: embedded, containers or auto (embedded, else a program "+
			"on PATH, where a node does not say)")
}

func validEngines(engines string) error {
	if !slices.Contains(engineChoices, engines) {
		return usage(fmt.Errorf("no engines %q", engines),
			"accepted: "+strings.Join(engineChoices, ", "))
	}
	return nil
}

// readImages reads the file of --images, if there is one.
func (t *terminal) readImages(o *runOptions) error {
	if o.images == "" {
		return nil
	}
	images, diags, err := scenarios.Images(o.images)
	if err != nil || !diags.Empty() {
		return t.notLoaded(diags, err)
	}
	o.pulled = images
	return nil
}

// missingPrograms say of each broker and store whose engine is a program that this machine does not
// have what to install.
func missingPrograms(t *topology.Topology, engines string) (notes []string) {
	for _, n := range t.Nodes {
		set := features.Choose(n, engines)
		if _, known := features.Of(set, n); !known || n.Own != nil || set != features.Process {
			continue
		}
		var problem *engine.Problem
		if errors.As(process.Find(n.Protocol), &problem) {
			notes = append(notes, fmt.Sprintf("%s cannot be run on this machine yet: %v; %s",
				t.Short(n.Name), problem, problem.Hint()))
		}
	}
	return notes
}

// engineLines are what stands behind each broker and store, a line each.
func engineLines(t *topology.Topology, engines string) (lines []string) {
	for _, n := range t.Nodes {
		set := features.Choose(n, engines)
		f, ok := features.Of(set, n)
		if !ok || n.Own != nil {
			continue
		}
		words := f.Name
		if set == features.Container {
			image := n.Image
			if image == "" {
				image = f.Image
			}
			words += ", image " + image
		}
		lines = append(lines, fmt.Sprintf("engine   %s  %s (%s)", t.Short(n.Name), words, set))
	}
	return lines
}
