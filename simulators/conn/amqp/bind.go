package amqp

import (
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
)

// CloudEvents has no binding for AMQP 0-9-1. This is the one for AMQP 1.0 with headers in the place
// of application properties, which is what RabbitMQ makes of the one when it hands a message from
// either protocol to the other: attributes are prefixed, datacontenttype is the content type, and
// the data is the body. Of the two prefixes "cloudEvents_" is the one to be written; both are read.
// The id, where it is short enough, and the time in whole seconds stand in the properties as well,
// for the broker's own tools.
//
// Source: CloudEvents AMQP protocol binding 1.0.2, section 3.1 (binary content mode).
const (
	attributePrefix = "cloudEvents_"
	otherPrefix     = "cloudEvents:"
)

// sequenceHeader tells a message that comes back from others of the same id. RabbitMQ's .NET client
// does the same.
const sequenceHeader = "x-publish-seq-no"

// longestExpiry is beyond what the broker takes as an expiration.
const longestExpiry = (1<<32 - 1) * time.Millisecond

// toPublishing writes a message in binary mode.
func toPublishing(m *message.Message) amqp.Publishing {
	headers := make(amqp.Table, 14)
	m.Attributes(func(name, value string) bool {
		switch name {
		case message.AttrDataContentType:
		case message.AttrTraceparent:
			headers[name] = value
		default:
			headers[attributePrefix+name] = value
		}
		return true
	})
	p := amqp.Publishing{
		ContentType: message.ContentType, DeliveryMode: amqp.Persistent, Headers: headers, Body: m.Data,
	}
	if id := m.ID(); len(id) <= longestName {
		p.MessageId = id
	}
	if m.Time.Unix() > 0 {
		p.Timestamp = m.Time
	}
	if left := time.Until(m.Expires); !m.Expires.IsZero() && left < longestExpiry {
		p.Expiration = strconv.FormatInt(max(0, left.Milliseconds()), 10)
	}
	return p
}

// size is about how many bytes a message's headers take; they travel in one frame.
func size(headers amqp.Table) int {
	n := 0
	for name, value := range headers {
		text, _ := value.(string)
		n += len(name) + len(text) + 6
	}
	return n
}

// fromDelivery reads a message, or recalls the one that its body belongs to.
func (c *Client) fromDelivery(d *amqp.Delivery) (*message.Message, error) {
	m, err := message.FromAttributes(func(name string) string {
		if name == message.AttrTraceparent {
			return text(d.Headers[name])
		}
		if v, ok := d.Headers[attributePrefix+name]; ok {
			return text(v)
		}
		return text(d.Headers[otherPrefix+name])
	}, d.Body)
	m, err = conn.Recall(c.cfg.Recall).Otherwise(m, err, d.Body)
	if err != nil {
		return nil, err
	}
	return c.withDeath(m, d), nil
}

// text is a header as other clients may have written it.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case int32:
		return strconv.FormatInt(int64(v), 10)
	case int64:
		return strconv.FormatInt(v, 10)
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	}
	return ""
}

// The headers of a message that the broker has dead-lettered.
const (
	firstReason   = "x-first-death-reason"
	firstExchange = "x-first-death-exchange"
	deliveryCount = "x-delivery-count"
	overLimit     = "delivery_limit" // a reason
)

// withDeath is a message with what the broker says of its dead-lettering, where it was.
func (c *Client) withDeath(m *message.Message, d *amqp.Delivery) *message.Message {
	reason := text(d.Headers[firstReason])
	if reason == "" {
		return m
	}
	told := map[string]string{message.HeaderReason: reason}
	if exchange := text(d.Headers[firstExchange]); exchange != "" {
		told[message.HeaderOrigin] = c.cfg.Dialer.Wire().To + "/" + channelOf(exchange)
	}
	if n, ok := strings.CutPrefix(d.RoutingKey, attemptsKey); ok && reason == overLimit {
		told[message.HeaderAttempts] = n
	}
	return m.With(func(m *message.Message) {
		if m.Headers == nil {
			m.Headers = map[string]string{}
		}
		for name, value := range told {
			if m.Headers[name] == "" {
				m.Headers[name] = value
			}
		}
	})
}

// attempt is how many times a message has been delivered, this time included. The broker counts in
// a header that is absent at first, and only of quorum queues; 0 where it does not count.
func attempt(d *amqp.Delivery, counted bool) int {
	if !counted {
		return 0
	}
	n, _ := d.Headers[deliveryCount].(int64)
	return int(n) + 1
}
