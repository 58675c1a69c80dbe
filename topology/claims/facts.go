package claims

import (
	"fmt"
	"strings"
	"time"
)

// Fact is one line of what a broker can do, short enough for a table's cell.
type Fact struct{ Name, Value string }

// None is the value of a fact that a broker has not.
const None = "-"

// Facts are all facts about a broker, in the same order for each.
func (b Broker) Facts() []Fact {
	return []Fact{
		{"order", text(b.Order)},
		{"holds in a group of several", yes(b.KeyOrder)},
		{"parallel parts", parts(b)},
		{"consumer groups", yes(b.Groups)},
		{"fan-out to groups", yes(b.FanOut)},
		{"kept for a group that is late", yes(b.Early)},
		{"redelivery by", text(b.Redelivery)},
		{"deliveries counted", yes(b.Counts)},
		{"takes over after a crash", deadline(b)},
		{"native dead-letter", deadLetter(b)},
		{"a consumer may reject", yes(b.Rejects)},
		{"dead letters carry", text(strings.Join(b.DeadLetterFields, ", "))},
		{"ttl", text(b.TTL)},
		{"delay", text(b.Delay)},
		{"priority", text(b.Priority)},
		{"filters", text(b.Filters)},
		{"transactions", text(b.Transactions)},
		{"durable: false", yes(b.Transient)},
		{"largest body", size(b.MaxMessage)},
		{"channels can be read", yes(b.Readable)},
		{"backlog can be counted", yes(b.Counted)},
		{"a channel for each id", yes(b.Wildcards)},
		{"fleets speak it", yes(b.Devices)},
		{"clusters", yes(b.Clusters)},
	}
}

func text(v string) string {
	if v == "" {
		return None
	}
	return v
}

func yes(v bool) string {
	if v {
		return "yes"
	}
	return None
}

func parts(b Broker) string {
	if !b.Parts {
		return None
	}
	return fmt.Sprintf("yes, default %d", b.DefaultParts)
}

func deadline(b Broker) string {
	switch {
	case b.AckDeadline > 0:
		return "within " + b.AckDeadline.Round(100*time.Millisecond).String()
	case b.Redelivery == "":
		return None
	}
	return "at once"
}

func deadLetter(b Broker) string {
	switch {
	case b.DeadLetter == "":
		return None
	case b.MostAttempts > 0:
		return fmt.Sprintf("after %d to %d deliveries", b.LeastAttempts, b.MostAttempts)
	}
	return "after n deliveries"
}

func size(bytes int) string {
	if bytes >= 1_000_000 {
		return fmt.Sprintf("%.3g MB", float64(bytes)/1e6)
	}
	return fmt.Sprintf("%d kB", bytes/1000)
}
