package kinesis

import (
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
)

const (
	// mostRecord is how large a record may be, its data and its partition key together, in bytes.
	mostRecord = 1 << 20
	// mostKey is how long a partition key may be, in characters.
	mostKey = 256
)

// toData writes a message as a record's data, in structured mode: a record has no headers, and
// CloudEvents has no protocol binding for Kinesis, so the event goes as a document of the JSON
// event format, which is made for "a single body".
//
// Source: CloudEvents JSON event format 1.0.2, section 3; CloudEvents 1.0.2, section 1.4 "Event
// Format" and the list of its bindings.
func toData(m *message.Message) ([]byte, error) { return m.Structured() }

// fromRecord reads a record as a message, or recalls the one that its data belongs to.
func fromRecord(r *types.Record, recall conn.Recall) (*message.Message, error) {
	m, err := message.FromStructured(r.Data)
	return recall.Otherwise(m, err, r.Data)
}

// partitionKey decides a message's shard. A message without a key goes by its id, so that those
// spread. A key that is too long is hashed; the envelope has it whole.
func partitionKey(m *message.Message) string {
	key := m.Key
	if key == "" {
		key = m.ID()
	}
	if utf8.RuneCountInString(key) <= mostKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// shardNumber is the number in a shard's id ("shardId-000000000003"), −1 when there is none.
func shardNumber(id string) int32 {
	n, err := strconv.ParseInt(id[strings.LastIndexByte(id, '-')+1:], 10, 32)
	if err != nil {
		return -1
	}
	return int32(n)
}

// countBits is where the service's own sequence numbers, of 186 bits, carry the count of a shard's
// records. What stands above is the same for a whole shard. This is seen, not documented, and
// nothing but what is recorded as an offset stands on it.
const countBits = 76

// offsetOf is the part of a sequence number that fits into 63 bits and grows within a shard: all
// of it where it is small, as with imitations, else 63 bits from the one that counts on.
func offsetOf(sequence string) int64 {
	if n, err := strconv.ParseInt(sequence, 10, 64); err == nil {
		return n
	}
	n, ok := new(big.Int).SetString(sequence, 10)
	if !ok {
		return 0
	}
	return int64(n.Rsh(n, countBits).Uint64() &^ (1 << 63))
}

// compareSequences orders sequence numbers, which are decimal without leading zeros; "" is before
// the first.
func compareSequences(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}
