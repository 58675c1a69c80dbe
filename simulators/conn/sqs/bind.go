package sqs

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
)

// There is no CloudEvents binding for SQS and SNS. This one follows the Kafka binding's binary
// mode: the body is the data, an attribute is the message attribute "ce_" and its name. A message
// has at most ten attributes, so those that nobody routes by share the one called ce_extensions, as a URL
// query. A body must be text and not empty: what is not is told by "content-encoding".
//
// Source: CloudEvents Kafka protocol binding 1.0.2, section 3.2; Amazon SQS Developer Guide,
// "Message metadata"; Amazon SQS API reference, SendMessage (characters that are allowed).
const (
	attributePrefix   = "ce_"
	extensions        = attributePrefix + "extensions"
	contentTypeHeader = "content-type"
	contentEncoding   = "content-encoding"
	encodingBase64    = "base64"
	encodingEmpty     = "empty"
	attributeType     = "String"
)

// Letter is a message as SQS and SNS carry it. Group and Copy are set for FIFO ones alone.
type Letter struct {
	Body       string
	Attributes map[string]string
	Group      string // messages of one group keep their order
	Copy       string // letters with the same are taken for copies of one within five minutes
}

// alone are the attributes that stand by themselves, with the names they have.
var alone = map[string]string{
	message.AttrSpecVersion:     attributePrefix + message.AttrSpecVersion,
	message.AttrID:              attributePrefix + message.AttrID,
	message.AttrSource:          attributePrefix + message.AttrSource,
	message.AttrType:            attributePrefix + message.AttrType,
	message.AttrSubject:         attributePrefix + message.AttrSubject,
	message.AttrPartitionKey:    attributePrefix + message.AttrPartitionKey,
	message.AttrTraceparent:     message.AttrTraceparent,
	message.AttrDataContentType: contentTypeHeader,
}

// ToLetter writes a message. Two messages with the same key are of one group, those without are of
// none. Copy is the message's id and attempt, which Copies completes.
func ToLetter(m *message.Message) *Letter {
	l := &Letter{Attributes: make(map[string]string, 10)}
	shared := url.Values{}
	m.Attributes(func(name, value string) bool {
		if own, ok := alone[name]; ok {
			l.Attributes[own] = escape(value)
		} else {
			shared.Set(name, value)
		}
		return true
	})
	if len(shared) > 0 {
		l.Attributes[extensions] = shared.Encode()
	}
	switch {
	case len(m.Data) == 0:
		l.Body, l.Attributes[contentEncoding] = " ", encodingEmpty
	case utf8.Valid(m.Data) && allowed(string(m.Data)):
		l.Body = string(m.Data)
	default:
		l.Body = base64.StdEncoding.EncodeToString(m.Data)
		l.Attributes[contentEncoding] = encodingBase64
	}
	l.Group = identifier(m.Key)
	if m.Key == "" {
		l.Group = identifier(m.ID())
	}
	l.Copy = identifier(fmt.Sprintf("%s.%d", m.ID(), m.Attempt))
	return l
}

// Size is what counts against the limit, in bytes.
func (l *Letter) Size() int {
	size := len(l.Body)
	for name, value := range l.Attributes {
		size += len(name) + len(attributeType) + len(value)
	}
	return size
}

// attributes are the letter's, as SQS takes them.
func (l *Letter) attributes() map[string]types.MessageAttributeValue {
	all := make(map[string]types.MessageAttributeValue, len(l.Attributes))
	for name, value := range l.Attributes {
		all[name] = types.MessageAttributeValue{DataType: new(attributeType), StringValue: &value}
	}
	return all
}

// read is the message that a received one holds, or the one that its body belongs to. The body is
// returned also when it is none.
func read(received *types.Message, recall conn.Recall) (*message.Message, []byte, error) {
	get := func(name string) string {
		if v := received.MessageAttributes[name].StringValue; v != nil {
			return *v
		}
		return ""
	}
	body, err := bodyOf(received, get(contentEncoding))
	if err != nil {
		return nil, body, err
	}
	shared, err := url.ParseQuery(get(extensions))
	if err != nil {
		return nil, body, fmt.Errorf("read %s: %w", extensions, err)
	}
	var bad error
	m, err := message.FromAttributes(func(name string) string {
		own, ok := alone[name]
		if !ok {
			return shared.Get(name)
		}
		value, err := message.UnescapeHeader(get(own))
		if err != nil && bad == nil {
			bad = fmt.Errorf("read %s: %w", own, err)
		}
		return value
	}, body)
	if bad != nil {
		m, err = nil, bad
	}
	m, err = recall.Otherwise(m, err, body)
	return m, body, err
}

func bodyOf(received *types.Message, encoding string) ([]byte, error) {
	body := ""
	if received.Body != nil {
		body = *received.Body
	}
	switch encoding {
	case encodingEmpty:
		return nil, nil
	case encodingBase64:
		data, err := base64.StdEncoding.DecodeString(body)
		if err != nil {
			return []byte(body), fmt.Errorf("decode body: %w", err)
		}
		return data, nil
	}
	return []byte(body), nil
}

// allowed says whether a text has only characters that SQS takes.
func allowed(text string) bool {
	return !strings.ContainsFunc(text, forbidden)
}

func forbidden(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
}

// escape writes per cent signs and characters that SQS does not take as percent-encoded UTF-8.
func escape(value string) string {
	if !strings.Contains(value, "%") && allowed(value) {
		return value
	}
	var b strings.Builder
	for _, r := range value {
		if r != '%' && !forbidden(r) {
			b.WriteRune(r)
			continue
		}
		for _, c := range []byte(string(r)) {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
