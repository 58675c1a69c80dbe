package d2

import (
	"fmt"
	"os"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/diag"
)

// Draw is how a topology reads the drawing that its file names: for topology.Options.Draw. When
// seen is not nil, the whole drawing is left there, to be held against the topology.
func Draw(opt Options, seen **Drawing) func(string) (topology.Drawing, diag.List, error) {
	return func(file string) (topology.Drawing, diag.List, error) {
		src, err := os.ReadFile(file)
		if err != nil {
			return topology.Drawing{}, diag.List{}, fmt.Errorf("read drawing: %w", err)
		}
		d, diags := Read(file, src, opt)
		if d == nil {
			return topology.Drawing{}, diags, nil
		}
		if seen != nil {
			*seen = d
		}
		return topology.Drawing{Boxes: d.Leaves(), Links: d.Plain()}, diags, nil
	}
}

// Leaves are the full names of the boxes without boxes inside.
func (d *Drawing) Leaves() []string {
	var names []string
	for _, b := range d.Boxes {
		if !b.Container {
			names = append(names, b.Name)
		}
	}
	return names
}
