package scenarios

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/topology/diag"
)

// scenarioWords are the keys of a scenario's file.
var scenarioWords = map[string]string{
	"scenario":    "the scenario's name; the file's name when it is not given",
	"description": "what must hold, for people; it stands in every report",
	"topology":    "the topology's file, relative to the scenario's",
	"change": "an overlay on the topology, promise and as built alike: an image, an engine, " +
		"a count",
	"as_built": "an overlay that only the simulated nodes obey; checkers go on reading the " +
		"promise",
	"seed": "a whole number that fixes every random choice of the run (default 1)",
	"load": "open-loop load by flow: 200/s, {ramp: 5/s..50/s, over: 10s}, {rate: 50/s, " +
		"poisson: true, burst: {times: 10, at: 5s, for: 3s}}",
	"steady": "load before the timeline begins, to measure what is normal (default 5s)",
	"timeline": "what is done to the system and when: faults, scale, redrive; at: counts from " +
		"the end of steady",
	"recover": "load that goes on after the timeline's last end (default 10s)",
	"drain": "time without load for what is on its way, at most; it ends as soon as " +
		"nothing moves (default 15s)",
	"deadline": "the most the whole run may take (default: its phases and 60s)",
	"assert": "what must hold; adds to and overrides what is judged anyway: delivery, load, " +
		"steady, trace and every declared policy",
	"expect":  "the verdicts that faultline test must find, for a broken twin; run ignores it",
	"valid":   "a verdict: there was evidence, and the promise held",
	"invalid": "a verdict: a counterexample is shown",
	"unknown": "a verdict: evidence was missing; it says what would make it known",
	"untested": "a verdict: nothing came of what the promise is about, such as a failure for a breaker to " +
		"see; it says what would test it, and changes no exit code",
	"scale": "on the timeline: {NODE: REPLICAS}, starts or stops replicas of a cloud or " +
		"service",
	"redrive": "on the timeline: publishes every message of a dead-letter channel to where " +
		"it came from, once each",
	"when": "of a fault: {in_hand: NODE, at_least: 1}; from its time on it waits until the node " +
		"(or NODE[1], one replica) handles so many messages at once, and is done to it then; it " +
		"waits until its end at most, and has touched nothing if that never came",
	"fault": "on the timeline: what is broken; 'faultline explain' lists the kinds",
}

// faultWords are the fields that faults may be told.
var faultWords = map[string]string{
	"direction": "requests, replies or both (default), seen from the dialler",
	"replica":   "one replica by number, counted from 0 (default: all)",
	"latency":   "a duration such as 300ms",
	"rate":      "requests in a time such as 5/s; of bandwidth: bytes in a second such as 64KB/s",
	"bytes":     "a number of bytes: 512B, 64KB, 1MiB",
	"cores":     "a number of processor cores, such as 0.2",
	"size": "an amount of memory or disk: 64MB, 1GiB; of disk_full: how large the disk is that " +
		"is filled (default " + bytesText(DefaultDisk) + ")",
	"share": "of messages or members: 25% or 0.25 (default all); the same messages in every " +
		"run with the same seed",
	"status": "an HTTP status from 400 to 599 (default 500)",
	"flow":   "only messages of this flow",
	"every": "true: a message crashes whoever handles it at each delivery, until healed (default " +
		"false: once each)",
	"login": "true: members come back as newcomers, without the tokens they had (default " +
		"false)",
	"factor": "how many times the flow's own rate",
}

// Explain tells what a word of a scenario means; near are similar words when it has none.
func Explain(word string) (text string, near []string) {
	if k, ok := KindOf(word); ok {
		return explainKind(k), nil
	}
	var found []string
	if text, ok := scenarioWords[word]; ok {
		found = append(found, fmt.Sprintf("%s (scenario): %s", word, text))
	}
	if text, ok := faultWords[word]; ok {
		found = append(found, fmt.Sprintf("%s (of a fault): %s", word, text))
	}
	if len(found) > 0 {
		return strings.Join(found, "\n"), nil
	}
	if n := diag.Nearest(word, Words()); n != "" {
		near = []string{n}
	}
	return "", near
}

func explainKind(k Kind) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (fault on %s): %s\n", k.Name, targetWords(k), k.Doc)
	for _, field := range k.Needs {
		fmt.Fprintf(&b, "  needs %s: %s\n", field, faultWords[field])
	}
	for _, field := range k.May {
		fmt.Fprintf(&b, "  may have %s: %s\n", field, faultWords[field])
	}
	fmt.Fprintf(&b, "  bites: %s\n  heals: %s", k.Bite, k.Heal)
	return b.String()
}

// Words are all words that Explain knows, sorted.
func Words() []string {
	words := slices.Collect(maps.Keys(scenarioWords))
	words = slices.AppendSeq(words, maps.Keys(faultWords))
	words = append(words, KindNames()...)
	slices.Sort(words)
	return slices.Compact(words)
}
