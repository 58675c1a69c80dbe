package relay

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafka is one connection to a broker, on which the addresses that the broker tells are made those
// of the relays. All else goes through as it came, piece by piece.
//
// Brokers tell addresses in answers to Metadata, FindCoordinator and DescribeCluster. Newer versions
// of Produce, Fetch and the share group's requests tell them too, when a leader has moved; a client
// is kept from these versions by the answer to ApiVersions, so that it asks for Metadata instead.
// Source: the Kafka protocol guide; KIP-951.
type kafka struct {
	told  map[string]string // a broker's own address to its relay's
	given func()            // a consumer has been given its share

	mu    sync.Mutex
	asked map[int32]question // by correlation id; requests whose answers are looked into
}

// question is what a request was.
type question struct{ key, version int16 }

// gives says that the answer gives a group's member its share.
func (q question) gives() bool {
	return q.key == keySyncGroup || q.key == keyConsumerGroupHeartbeat
}

// The keys of the requests whose answers are looked into, and of those that say that a group's
// member has its share.
const (
	keyProduce                = 0
	keyFetch                  = 1
	keyMetadata               = 3
	keyFindCoordinator        = 10
	keySyncGroup              = 14
	keyApiVersions            = 18
	keyDescribeCluster        = 60
	keyConsumerGroupHeartbeat = 68
)

// newest are the versions above which a request's answer tells addresses where this package does
// not look; −1 is all versions.
var newest = map[int16]int16{
	keyProduce: 9, keyFetch: 15,
	78: -1, 79: -1, // ShareFetch, ShareAcknowledge
}

// longestAnswer bounds an answer that is looked into, in bytes.
const longestAnswer = 64 << 20

func newKafka(told map[string]string, given func()) *kafka {
	return &kafka{told: told, given: given, asked: map[int32]question{}}
}

func (k *kafka) carriers() (requests, replies carrier) { return k.requests, k.replies }

// requests passes requests on and notes those whose answers are to be looked into.
func (k *kafka) requests(to io.Writer, from io.Reader) error {
	var head [12]byte // size, key, version, correlation id
	for {
		if _, err := io.ReadFull(from, head[:]); err != nil {
			return atEnd(err)
		}
		size := int64(binary.BigEndian.Uint32(head[:4]))
		if size < int64(len(head))-4 {
			return fmt.Errorf("read kafka request: size %d", size)
		}
		q := question{int16(binary.BigEndian.Uint16(head[4:])), int16(binary.BigEndian.Uint16(head[6:]))}
		k.note(int32(binary.BigEndian.Uint32(head[8:])), q)
		if err := pass(to, head[:], from, size-int64(len(head))+4); err != nil {
			return err
		}
	}
}

func (k *kafka) note(id int32, q question) {
	switch q.key {
	case keyFetch:
		k.given()
	case keyMetadata, keyFindCoordinator, keyApiVersions, keyDescribeCluster,
		keySyncGroup, keyConsumerGroupHeartbeat:
		k.mu.Lock()
		k.asked[id] = q
		k.mu.Unlock()
	}
}

// replies passes answers on, those with addresses in them changed.
func (k *kafka) replies(to io.Writer, from io.Reader) error {
	var head [8]byte // size, correlation id
	for {
		if _, err := io.ReadFull(from, head[:]); err != nil {
			return atEnd(err)
		}
		rest := int64(binary.BigEndian.Uint32(head[:4])) - 4
		if rest < 0 {
			return fmt.Errorf("read kafka answer: size %d", rest+4)
		}
		q, ok := k.question(int32(binary.BigEndian.Uint32(head[4:])))
		if !ok {
			if err := pass(to, head[:], from, rest); err != nil {
				return err
			}
			continue
		}
		if err := k.answer(to, head, from, rest, q); err != nil {
			return err
		}
	}
}

func (k *kafka) question(id int32) (question, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	q, ok := k.asked[id]
	delete(k.asked, id)
	return q, ok
}

// answer changes one answer and passes it on.
func (k *kafka) answer(to io.Writer, head [8]byte, from io.Reader, size int64, q question) error {
	if size > longestAnswer {
		return fmt.Errorf("read kafka answer to request %d: %d bytes", q.key, size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(from, body); err != nil {
		return err
	}
	body, err := k.rewrite(body, q)
	if err != nil {
		return fmt.Errorf("rewrite kafka answer to request %d version %d: %w", q.key, q.version, err)
	}
	binary.BigEndian.PutUint32(head[:4], uint32(len(body)+4))
	_, err = to.Write(append(head[:], body...))
	if err == nil && q.gives() {
		k.given()
	}
	return err
}

// rewrite is an answer's body, behind the correlation id, with the relays' addresses in it.
func (k *kafka) rewrite(body []byte, q question) ([]byte, error) {
	answer := kmsg.ResponseForKey(q.key)
	if answer == nil || q.gives() || unsupported(q, body) {
		return body, nil
	}
	answer.SetVersion(q.version)
	tags := 0
	if answer.IsFlexible() && q.key != keyApiVersions {
		tags = tagsLength(body)
	}
	if err := answer.ReadFrom(body[tags:]); err != nil {
		return nil, err
	}
	if err := k.readdress(answer); err != nil {
		return nil, err
	}
	return answer.AppendTo(body[:tags:tags]), nil
}

// unsupported says that a broker does not know the version of ApiVersions that it was asked in. It
// answers in version 0 then, and the client asks again.
func unsupported(q question, body []byte) bool {
	const unsupportedVersion = 35
	return q.key == keyApiVersions && len(body) >= 2 &&
		binary.BigEndian.Uint16(body) == unsupportedVersion
}

// tagsLength is how long the tagged fields of an answer's header are. Brokers send none, which is a
// zero; anything else is left to the reader of the body to stumble over.
func tagsLength(body []byte) int {
	if len(body) > 0 && body[0] == 0 {
		return 1
	}
	return 0
}

// readdress puts the relays' addresses in the place of the brokers' own.
func (k *kafka) readdress(answer kmsg.Response) (err error) {
	switch a := answer.(type) {
	case *kmsg.MetadataResponse:
		for i := range a.Brokers {
			b := &a.Brokers[i]
			if b.Host, b.Port, err = k.relay(b.Host, b.Port); err != nil {
				return err
			}
		}
	case *kmsg.DescribeClusterResponse:
		for i := range a.Brokers {
			b := &a.Brokers[i]
			if b.Host, b.Port, err = k.relay(b.Host, b.Port); err != nil {
				return err
			}
		}
	case *kmsg.FindCoordinatorResponse:
		if a.Host, a.Port, err = k.relay(a.Host, a.Port); err != nil {
			return err
		}
		for i := range a.Coordinators {
			c := &a.Coordinators[i]
			if c.Host, c.Port, err = k.relay(c.Host, c.Port); err != nil {
				return err
			}
		}
	case *kmsg.ApiVersionsResponse:
		a.ApiKeys = atMost(a.ApiKeys)
	}
	return nil
}

// relay is the address of the relay before a broker. No host, or no port, is no address.
func (k *kafka) relay(host string, port int32) (string, int32, error) {
	if host == "" || port <= 0 {
		return host, port, nil
	}
	own := net.JoinHostPort(host, strconv.Itoa(int(port)))
	if host == "localhost" {
		own = net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))
	}
	at, ok := k.told[own]
	if !ok {
		return "", 0, fmt.Errorf("%w: %s", errForeign, own)
	}
	to, text, err := net.SplitHostPort(at)
	if err != nil {
		return "", 0, err
	}
	number, err := strconv.ParseInt(text, 10, 32)
	return to, int32(number), err
}

// atMost is what a broker can do, without the versions that this package cannot look into.
func atMost(keys []kmsg.ApiVersionsResponseApiKey) []kmsg.ApiVersionsResponseApiKey {
	kept := keys[:0]
	for _, key := range keys {
		limit, limited := newest[key.ApiKey]
		switch key.ApiKey {
		case keyMetadata, keyFindCoordinator, keyDescribeCluster, keyApiVersions:
			limit, limited = kmsg.ResponseForKey(key.ApiKey).MaxVersion(), true
		}
		if limited {
			key.MaxVersion = min(key.MaxVersion, limit)
		}
		if key.MaxVersion >= key.MinVersion {
			kept = append(kept, key)
		}
	}
	return kept
}

// pass passes a frame's head and the rest of it on.
func pass(to io.Writer, head []byte, from io.Reader, rest int64) error {
	if _, err := to.Write(head); err != nil {
		return err
	}
	_, err := io.CopyN(to, from, rest)
	return err
}

// atEnd is nil for a stream that ends between two frames.
func atEnd(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}
