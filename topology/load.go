package topology

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// Options are what a caller adds to a topology's file. The zero value adds nothing.
type Options struct {
	// Set are overrides of one field each, "node.field=value", as --set gives them; they are laid
	// over promise and as built alike, in order.
	Set []string
	// Draw reads the drawing that the file names. Nil leaves Links empty and knows no boxes but
	// those under nodes:.
	Draw func(file string) (Drawing, diag.List, error)
}

// Drawing is what a topology takes of its drawing.
type Drawing struct {
	Boxes []string // full names of the boxes without boxes inside; unlisted ones are services
	Links []Link
}

// Load reads the topology in a YAML file. What is wrong with the file comes as diagnostics, all at
// once; the error is a read that failed. The topology is whole only when the list is empty.
func Load(file string, opt Options) (*Topology, diag.List, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, diag.List{}, fmt.Errorf("read topology %q: %w", file, err)
	}
	return parse(file, src, opt)
}

// Parse is Load for a file's content. A drawing that cannot be read is a diagnostic here.
func Parse(file string, src []byte, opt Options) (*Topology, diag.List) {
	t, diags, err := parse(file, src, opt)
	if err != nil {
		diags.Add(diag.Position{File: file}, "unreadable", "%v", err)
	}
	return t, diags
}

func parse(file string, src []byte, opt Options) (*Topology, diag.List, error) {
	var diags diag.List
	root := yamlpos.Parse(file, src, &diags)
	d := newDecoder(&Topology{File: file}, root)
	d.draw = opt.Draw
	if root.Present() {
		d.file(root)
		d.finish()
	}
	diags.Append(d.drawn)
	t := d.t
	for _, setting := range opt.Set {
		t = t.set(setting, &diags)
	}
	return t, diags, d.err
}

// settingFile is what stands for the file in diagnostics about a --set.
const settingFile = "--set"

// set lays "path=value" over the topology.
func (t *Topology) set(setting string, diags *diag.List) *Topology {
	at := diag.Position{File: settingFile}
	path, value, ok := strings.Cut(setting, "=")
	if !ok || strings.TrimSpace(path) == "" {
		diags.Add(at, "wrong-form", "%q has the wrong form, write it as node.field=value", setting)
		return t
	}
	var own diag.List
	var src bytes.Buffer
	fmt.Fprintf(&src, "%q: %s\n", strings.TrimSpace(path), value)
	v := yamlpos.Parse(settingFile, src.Bytes(), &own)
	changed := t
	if own.Empty() {
		changed = t.Overlay(v, OverlayOptions{})
	}
	for _, one := range own.Sorted() {
		diags.Add(at, one.Kind, "%q: %s", setting, one.Text)
	}
	if !own.Empty() {
		return t
	}
	return changed
}

// file reads a whole topology: names of nodes first, then what refers to them.
func (d *decoder) file(root yamlpos.Value) {
	var nodes, policies, channels, flows yamlpos.Value
	keep := func(into *yamlpos.Value) func(yamlpos.Value) {
		return func(v yamlpos.Value) { *into = v }
	}
	root.Fields(map[string]func(yamlpos.Value){
		"topology": func(v yamlpos.Value) { d.t.Name = v.String() },
		"drawing":  d.drawing,
		"nodes":    keep(&nodes),
		"policies": keep(&policies),
		"channels": keep(&channels),
		"flows":    keep(&flows),
	})
	if root.IsMap() && !root.Get("topology").Present() {
		root.Errorf("missing-key", "key \"topology\" is missing, it gives the system's name")
	}
	bodies := d.collect(nil, nodes)
	d.addBoxes()
	d.policies(policies)
	d.channels(channels)
	d.flows(flows)
	for _, b := range bodies {
		d.node(b.node, b.value)
	}
}

// drawing reads the file that the topology is drawn in.
func (d *decoder) drawing(v yamlpos.Value) {
	name := v.String()
	if name == "" {
		return
	}
	d.t.Drawing = name
	if !filepath.IsAbs(name) {
		d.t.Drawing = filepath.Join(filepath.Dir(d.t.File), name)
	}
	if d.draw == nil {
		return
	}
	drawing, diags, err := d.draw(d.t.Drawing)
	if err != nil {
		d.err = fmt.Errorf("read drawing %q: %w", d.t.Drawing, err)
		return
	}
	d.drawn, d.boxes, d.t.Links = diags, drawing.Boxes, drawing.Links
}

// addBoxes makes a service of each drawn box that nodes: neither lists nor refines.
func (d *decoder) addBoxes() {
	for _, box := range d.boxes {
		if d.t.Node(box) == nil && len(d.t.below(box)) == 0 {
			d.t.Nodes = append(d.t.Nodes, newNode(box, Service))
		}
	}
}
