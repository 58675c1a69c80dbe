package scenariotest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// uses are the addresses in the environment of one node's processes, and which of them were used by
// Env.Dial and Env.Listen. In virtual time an address that was not is one that nobody reached.
type uses struct {
	mu    sync.Mutex
	named map[string][]string // by address, the variables that it stands in
	seen  map[string]bool     // addresses that were dialled, or listened at
}

func newUses() *uses { return &uses{named: map[string][]string{}, seen: map[string]bool{}} }

// address is one in the value of a variable.
var address = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// given notes what a process was given.
func (u *uses) given(env map[string]string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for name, value := range env {
		for _, at := range address.FindAllString(value, -1) {
			if !slices.Contains(u.named[at], name) {
				u.named[at] = append(u.named[at], name)
			}
		}
	}
}

func (u *uses) used(addr string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen[strings.Replace(addr, "localhost:", "127.0.0.1:", 1)] = true
}

// unused are the variables none of whose addresses was used, one for each neighbour. Of Kafka's
// brokers a client need not dial every one.
func (u *uses) unused() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	used := map[string]bool{}
	for at, names := range u.named {
		for _, name := range names {
			used[name] = used[name] || u.seen[at]
		}
	}
	found := map[string]bool{}
	for _, names := range u.named {
		// A neighbour's general name, as KAFKA_BROKERS, tells less than its own.
		name := slices.MinFunc(names, func(a, b string) int { return rank(a) - rank(b) })
		if !used[name] {
			found[name] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// general are the variables that stand for the only neighbour of a protocol.
var general = []string{
	"KAFKA_BROKERS", "S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "DATABASE_URL", "PUBSUB_EMULATOR_HOST",
}

func rank(variable string) int {
	if slices.Contains(general, variable) {
		return 1
	}
	return 0
}

// told is what a reader is to know where a process in virtual time went round what it was given, ""
// where it did not.
func (u *uses) told(node string) string {
	unused := u.unused()
	if len(unused) == 0 {
		return ""
	}
	return fmt.Sprintf("process %q: nothing of it used %s by env.Dial (LISTEN_ADDR: env.Listen); what "+
		"opens connections by itself reaches nobody in virtual time: give it env.Dial, or run by "+
		"scenariotest.RealTime()", node, strings.Join(unused, ", "))
}
