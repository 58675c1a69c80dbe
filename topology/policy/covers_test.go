package policy_test

import (
	"testing"

	"github.com/faultline-sim/faultline/topology/policy"
)

func TestPermanentStatuses(t *testing.T) {
	for name, c := range map[string]struct {
		reason   string
		declared []string
		want     bool
	}{
		"status/itself":          {"404", []string{"404"}, true},
		"status/another":         {"404", []string{"410"}, false},
		"status/its class":       {"404", []string{"4xx"}, true},
		"status/another class":   {"503", []string{"4xx"}, false},
		"status/over a quota":    {"429", []string{"4xx"}, false},
		"status/quota itself":    {"429", []string{"429"}, true},
		"status/word, not class": {"40x", []string{"4xx"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := policy.Covers(c.declared, c.reason); got != c.want {
				t.Errorf("%q among %v: %v", c.reason, c.declared, got)
			}
		})
	}
}
