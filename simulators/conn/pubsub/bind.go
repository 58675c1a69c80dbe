package pubsub

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"unicode/utf8"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/protobuf/proto"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
)

// Source: Google Cloud Pub/Sub Protocol Binding for CloudEvents 1.0, section 3.1 (binary content
// mode).
const (
	attributePrefix      = "ce-"
	contentTypeAttribute = "content-type"
)

// The service's limits of one message.
const (
	mostBytes      = 10_000_000 - 1024 // less what a request adds
	mostAttributes = 100
	longestValue   = 1024 // bytes
	longestKey     = 1024 // bytes
)

// toPubsub writes a message in binary mode. A value that is longer than Pub/Sub takes (that of
// headers may be) goes on in attributes whose names no CloudEvents attribute can have:
// "ce-headers", "ce-headers.1", "ce-headers.2" …
func toPubsub(m *message.Message) (*pb.PubsubMessage, error) {
	attributes := make(map[string]string, 14)
	m.Attributes(func(name, value string) bool {
		name = attributeName(name)
		for part := 0; part == 0 || value != ""; part++ {
			head := value[:cut(value)]
			attributes[partName(name, part)], value = head, value[len(head):]
		}
		return true
	})
	p := &pb.PubsubMessage{Data: m.Data, Attributes: attributes, OrderingKey: orderingKey(m.Key)}
	if n := len(attributes); n > mostAttributes {
		return nil, fmt.Errorf("%w: its headers fill %d attributes, Pub/Sub takes %d: shorten them",
			conn.ErrRefused, n, mostAttributes)
	}
	if n := proto.Size(p); n > mostBytes {
		return nil, fmt.Errorf("%w: %d bytes with attributes, Pub/Sub takes %d: send less at once",
			conn.ErrRefused, n, mostBytes)
	}
	return p, nil
}

// cut is how much of a value goes into one attribute; no letter is broken.
func cut(value string) int {
	if len(value) <= longestValue {
		return len(value)
	}
	n := longestValue
	for n > longestValue-utf8.UTFMax && !utf8.RuneStart(value[n]) {
		n--
	}
	return n
}

func partName(name string, part int) string {
	if part == 0 {
		return name
	}
	return name + "." + strconv.Itoa(part)
}

// orderingKey is the message's key; a digest of it where it is longer than Pub/Sub takes.
func orderingKey(key string) string {
	if len(key) <= longestKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

func attributeName(attribute string) string {
	switch attribute {
	case message.AttrTraceparent:
		return attribute
	case message.AttrDataContentType:
		return contentTypeAttribute
	}
	return attributePrefix + attribute
}

// fromPubsub reads a message, or recalls the one that its data belongs to.
func fromPubsub(p *pb.PubsubMessage, recall conn.Recall) (*message.Message, error) {
	m, err := message.FromAttributes(func(attribute string) string {
		name := attributeName(attribute)
		value := p.Attributes[name]
		for part := 1; ; part++ {
			more, ok := p.Attributes[partName(name, part)]
			if !ok {
				return value
			}
			value += more
		}
	}, p.Data)
	return recall.Otherwise(m, err, p.Data)
}
