package assertions

import (
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
)

// permanent says whether a reason is one that trying again cannot mend: a broken schema, a bad token
// and a refusal for good never can, nor what the policy declares.
func permanent(reason string, declared []string) bool {
	return reason == "schema" || reason == "auth" || reason == "permanent" || policy.Covers(declared, reason)
}

// perhapsPermanent is permanent, and also where a declared status ("404") may stand behind a reason
// that is a class ("4xx"), as programs of one's own and older histories give it.
func perhapsPermanent(reason string, declared []string) bool {
	class, ok := strings.CutSuffix(reason, "xx")
	return permanent(reason, declared) || ok && slices.ContainsFunc(declared, func(d string) bool {
		return strings.HasPrefix(d, class)
	})
}

// permanents are the reasons that a handler or any of its steps declares permanent.
func permanents(set policy.Set, steps []*topology.Step) []string {
	var all []string
	if set.Retry != nil {
		all = append(all, set.Retry.Permanent...)
	}
	for _, s := range steps {
		all = append(all, permanents(s.Policy, s.Do)...)
	}
	return all
}

// attempts is a retry's limit, 1 where none is declared.
func attempts(r *policy.Retry) int {
	if r == nil {
		return 1
	}
	return max(1, r.Attempts)
}
