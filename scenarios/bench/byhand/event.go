package byhand

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// event is one telemetry message: a CloudEvents 1.0 envelope with a JSON body. Its JSON form goes
// over MQTT and into the stores; over Kafka and HTTP its attributes are headers and Data the body.
type event struct {
	SpecVersion  string          `json:"specversion"`
	ID           string          `json:"id"`
	Type         string          `json:"type"`
	Source       string          `json:"source"`
	Subject      string          `json:"subject"`
	Time         time.Time       `json:"time"`
	ContentType  string          `json:"datacontenttype"`
	TraceParent  string          `json:"traceparent"`
	PartitionKey string          `json:"partitionkey"`
	Sequence     string          `json:"sequence"`
	Data         json.RawMessage `json:"data"`
}

// reading is an event's body.
type reading struct {
	At     time.Time `json:"at"`
	Device string    `json:"device"`
	Seq    int64     `json:"seq"`
	Temp   *float64  `json:"temp"`
}

// number is the event's place in its flow, which its id ends with.
func (e *event) number() (int64, error) {
	const prefix = "telemetry-"
	if len(e.ID) <= len(prefix) {
		return 0, fmt.Errorf("read event id %q: no number", e.ID)
	}
	return strconv.ParseInt(e.ID[len(prefix):], 10, 64)
}

// attributes names each attribute and where it is kept.
func (e *event) attributes() [8]attribute {
	return [...]attribute{
		{"specversion", &e.SpecVersion}, {"id", &e.ID}, {"type", &e.Type}, {"source", &e.Source},
		{"subject", &e.Subject}, {"traceparent", &e.TraceParent},
		{"partitionkey", &e.PartitionKey}, {"sequence", &e.Sequence},
	}
}

type attribute struct {
	name  string
	value *string
}

// each tells every attribute as text.
func (e *event) each(tell func(name, value string)) {
	for _, a := range e.attributes() {
		tell(a.name, *a.value)
	}
	tell("time", e.Time.Format(time.RFC3339Nano))
}

// fromAttributes is the event that headers and a body are.
func fromAttributes(get func(name string) string, data []byte) (*event, error) {
	e := &event{ContentType: jsonType, Data: data}
	for _, a := range e.attributes() {
		*a.value = get(a.name)
	}
	if e.ID == "" {
		return nil, fmt.Errorf("read event: it has no id")
	}
	at, err := time.Parse(time.RFC3339Nano, get("time"))
	if err != nil {
		return nil, fmt.Errorf("read time of event %q: %w", e.ID, err)
	}
	e.Time = at
	return e, nil
}

const jsonType = "application/json"
