package scenarios

import (
	"fmt"
	"os"
	"strings"

	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/features"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// Images reads the file of --images, which says where containers' images come from in place of the
// public registry:
//
//	registry: registry.example.com/mirror   # all of them, under the names that they have
//	images:                                 # or one by one
//	  redis:7.4: registry.example.com/hardened/redis:7.4.2
//
// It gives the image to run by default image. All mistakes come in the list; the error is for a
// file that cannot be read.
func Images(file string) (map[string]string, diag.List, error) {
	var diags diag.List
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, diags, fmt.Errorf("read images %q: %w", file, err)
	}
	v := yamlpos.Parse(file, src, &diags)
	images := map[string]string{}
	v.Fields(map[string]func(yamlpos.Value){
		"registry": func(v yamlpos.Value) { fromRegistry(v, images) },
		"images":   ignore,
	})
	for _, e := range v.Get("images").Entries() {
		if image := e.Key.OneOf(features.Images()...); image != "" {
			images[image] = imageName(e.Value)
		}
	}
	return images, diags, nil
}

// fromRegistry takes every image from one place.
func fromRegistry(v yamlpos.Value, images map[string]string) {
	registry := strings.TrimSuffix(imageName(v), "/")
	for _, image := range features.Images() {
		images[image] = registry + "/" + image
	}
}

// imageName is a text that can be an image's name, or part of one.
func imageName(v yamlpos.Value) string {
	name := oneLine(v)
	if strings.ContainsAny(name, " \t") || strings.Contains(name, "://") {
		v.Errorf("wrong-form", "%q is no image, write it as registry.example.com/redis:7.4", name)
	}
	return name
}
