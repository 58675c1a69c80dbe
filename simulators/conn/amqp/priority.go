package amqp

import "encoding/json"

// mostUrgent is the highest priority that queues keep apart: each costs the broker memory.
const mostUrgent = 9

// urgency is the priority of a message by a field of its body, 0 where there is no such number. What
// is out of range counts as the nearest that is in it.
func urgency(body []byte, field string) uint8 {
	if field == "" {
		return 0
	}
	var fields map[string]json.RawMessage
	var number float64
	if json.Unmarshal(body, &fields) != nil || json.Unmarshal(fields[field], &number) != nil {
		return 0
	}
	return uint8(max(0, min(mostUrgent, number)))
}
