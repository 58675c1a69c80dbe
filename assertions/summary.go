package assertions

import (
	"math"
	"time"
)

// Summary is what became of one flow's messages over the whole run.
type Summary struct {
	Flow     string
	Asked    int64 // by the plan; 0 for derived flows
	Sent     int64 // begun by their source, or born
	Accepted int64 // answered ok to their producer
	Sinks    []SinkSummary
}

// SinkSummary is how messages arrived at one sink, or as a reply at the source. Latency counts from
// the intended send time; it is 0 when nothing arrived.
type SinkSummary struct {
	Node          string // "reply" for a reply
	Arrived       int64
	P50, P99, Max time.Duration
}

// Summary is the account of every flow, in the topology's order.
func (l *Ledger) Summary() []Summary {
	all := make([]Summary, 0, len(l.flows))
	for _, f := range l.flows {
		s := Summary{Flow: f.name, Asked: l.asked[f.name], Sent: f.begun}
		for i := range f.size {
			if f.rows.get(i).flags&toldOk != 0 {
				s.Accepted++
			}
		}
		for j, leg := range f.route.legs {
			m := f.measure(j, Window{To: math.MaxInt64})
			s.Sinks = append(s.Sinks, SinkSummary{
				Node: leg.name(), Arrived: int64(m.completed),
				P50: m.quantile(0.5), P99: m.quantile(0.99), Max: m.quantile(1),
			})
		}
		all = append(all, s)
	}
	return all
}
