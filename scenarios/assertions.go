package scenarios

import "github.com/faultline-sim/faultline/topology/yamlpos"

// Assertions are what a scenario asserts and expects, as read.
type Assertions struct{}

func (p *parser) assertions(assert, expect yamlpos.Value) {}
