package topology

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/topology/claims"
	"github.com/faultline-sim/faultline/topology/diag"
)

// Explain tells what a word of the topology's YAML means: where it stands, its definition, what is
// accepted with units and limits, and an example. An unknown word has no text; near are then the
// words that could be meant.
func Explain(word string) (text string, near []string) {
	var bodies []string
	places := map[string][]string{} // by body: what means the same is told once
	for _, o := range vocabulary() {
		for _, f := range o.fields {
			if f.word != word {
				continue
			}
			body := f.explain()
			if places[body] == nil {
				bodies = append(bodies, body)
			}
			places[body] = append(places[body], o.on)
		}
	}
	var told []string
	for _, body := range bodies {
		told = append(told, fmt.Sprintf("%s, %s\n%s", word, strings.Join(places[body], "; "), body))
	}
	if text, ok := glossary()[word]; ok {
		told = append(told, fmt.Sprintf("%s: %s\n", word, text))
	}
	if len(told) == 0 {
		return "", nearWords(word)
	}
	return strings.Join(told, "\n"), nil
}

func (f field) explain() string {
	return fmt.Sprintf("  %s\n  accepted: %s\n  example:  %s\n", f.text, f.shape.says, f.example)
}

// Words are all words that Explain knows, sorted.
func Words() []string {
	words := []string{}
	for _, o := range vocabulary() {
		for _, f := range o.fields {
			words = append(words, f.word)
		}
	}
	for word := range glossary() {
		words = append(words, word)
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// nearWords are the words that begin or end like a word, or are spelt nearly like it.
func nearWords(word string) []string {
	var near []string
	for _, w := range Words() {
		begins := strings.HasPrefix(w, word) || len(w) > 2 && strings.HasPrefix(word, w)
		if len(word) > 2 && begins || w == diag.Nearest(word, []string{w}) {
			near = append(near, w)
		}
	}
	return near
}

// glossary is the words that are not keys.
func glossary() map[string]string {
	words := values()
	maps.Copy(words, concepts())
	for _, b := range claims.All() {
		words[b.Protocol] = "protocol of a broker: " + b.Product + "; a channel is " + b.Map
	}
	return words
}

// values are the words that stand behind keys.
func values() map[string]string {
	return map[string]string{
		"fleet": "kind of node: many devices or users of one sort (count); speaks " +
			"mqtt and http",
		"cloud": "kind of node: a service outside our control, with a quota, " +
			"outages and slow answers",
		"service": "kind of node: a program of ours, in one or more replicas",
		"broker": "kind of node: carries channels; protocol " +
			strings.Join(claims.Protocols(), ", "),
		"store": "kind of node: keeps data; protocol postgres, redis or s3. Also " +
			"a step that writes",

		"s3":       "protocol of a store: objects",
		"postgres": "protocol of a store: tables",
		"redis":    "protocol of a store: keys",

		"tcp": "protocol of a program of your own: bytes that nothing here has a client for; " +
			"under ready: it is ready when it takes connections",

		"embedded":  "engine: in this process",
		"process":   "engine: a program found on this machine, as a child process",
		"container": "engine: a container image",

		"at-least-once": "guarantee: an accepted message arrives, perhaps more than once",
		"exactly-once":  "guarantee: an accepted message takes effect once at each sink",
		"at-most-once":  "guarantee: a message may be lost, it never arrives twice",

		"never": "restart: a program that dies by itself stays dead, and the history says so",
		"always": "restart: a program that dies by itself is started again, after a pause that " +
			"grows from 100ms to 5s",

		"after_work": "ack: a delivery is given back as done after its steps; a crash " +
			"delivers it again",
		"before_work": "ack: a delivery is given back as done at once; a crash loses it",
		"fail":        "when_open: an open breaker refuses at once",
		"pause": "when_open: an open breaker holds the delivery until it lets a " +
			"trial through",
		"filter": "else: a message for which a condition does not hold is rightly " +
			"dropped, not lost",
		"token": "what a step issue: token answers with; fleets send it with each " +
			"message",
		"cached": "fallback: the last good answer",
		"none": "takes a policy, login or limit away; with order: messages in " +
			"any order",
		"4xx":  "reason: any HTTP answer from 400 to 499, but 429; one alone is named by its status, as 404",
		"5xx":  "reason: any HTTP answer from 500 to 599",
		"429":  "reason: an HTTP answer that a quota or rate limit refused",
		"auth": "reason: a token was refused",
	}
}

// concepts are the words that the documentation and expressions lean on.
func concepts() map[string]string {
	return map[string]string{
		"node": "one box of the drawing, or a child that refines one: a fleet, " +
			"cloud, service, broker or store",
		"link": "an edge of the drawing; validate tells which wires and channels " +
			"carry it",
		"wire": "one physical connection path, written in the direction of the " +
			"dial: worker1 -> stream",
		"mailbox": "a channel that a service keeps for each member of a fleet, read " +
			"by long poll: service/name/:id",
		"message": "a CloudEvents 1.0 envelope with W3C traceparent, ordering key " +
			"and sequence, attempt",
		"promise": "what the topology declares: policies, guarantees, SLOs",
		":id": "a segment of a channel's name: a member's id, or the message's " +
			"subject",
		"data": "in expressions: the message's body",
		"id":   "in the expressions of a send: the member's own id",
		"seq": "in the expressions of a send: messages of this flow the member " +
			"has begun, from 0",
		"now": "in the expressions of a send: the intended send time, RFC 3339",
		"flow": "a business path from a source to its sinks; in expressions the " +
			"name of the message's flow",
		"member": "in the expressions of a send: member(\"device.hw\"), the id of any member of " +
			"a fleet; in those of steps: member(\"device.app\", subject), the one member that a " +
			"text belongs to",
		"pick": "in the expressions of a send: pick([1, 2, 3]), any element of a " +
			"list",
		"choice": "in the expressions of a send: choice(\"a\", \"b\"), any of its " +
			"arguments",
		"normal": "in the expressions of a send: normal(60, 10), normally " +
			"distributed",
		"uniform": "in the expressions of a send: uniform(20, 90), equally " +
			"distributed",
		"replica": "one of the programs that a service runs as; worker1[0] is the " +
			"first",
		"partition": "kafka's: one of the parallel parts of a channel, see parallel",
	}
}
