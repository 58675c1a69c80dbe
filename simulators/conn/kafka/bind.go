package kafka

import (
	"strings"

	"github.com/segmentio/kafka-go"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
)

// Source: CloudEvents Kafka protocol binding 1.0.2, section 3.2 (binary content mode).
const (
	attributePrefix   = "ce_"
	contentTypeHeader = "content-type"
)

// toRecord writes a message as a record in binary mode.
func toRecord(m *message.Message) kafka.Record {
	headers := make([]kafka.Header, 0, 14)
	m.Attributes(func(name, value string) bool {
		headers = append(headers, kafka.Header{Key: headerName(name), Value: []byte(value)})
		return true
	})
	r := kafka.Record{Value: kafka.NewBytes(m.Data), Headers: headers}
	if m.Key != "" {
		r.Key = kafka.NewBytes([]byte(m.Key))
	}
	return r
}

func headerName(attribute string) string {
	switch attribute {
	case message.AttrTraceparent:
		return attribute
	case message.AttrDataContentType:
		return contentTypeHeader
	}
	return attributePrefix + attribute
}

// fromRecord reads a record as a message, or recalls the one that its value belongs to. The value is
// returned also when it is none.
func fromRecord(r *kafka.Record, recall conn.Recall) (*message.Message, []byte, error) {
	value, err := kafka.ReadAll(r.Value)
	if err != nil {
		return nil, nil, err
	}
	m, err := message.FromAttributes(func(name string) string {
		for i := range r.Headers {
			if isHeader(r.Headers[i].Key, name) {
				return string(r.Headers[i].Value)
			}
		}
		return ""
	}, value)
	m, err = recall.Otherwise(m, err, value)
	return m, value, err
}

// isHeader says whether a header holds an attribute.
func isHeader(key, attribute string) bool {
	if attribute == message.AttrTraceparent {
		return key == attribute
	}
	name, ok := strings.CutPrefix(key, attributePrefix)
	return ok && name == attribute
}
