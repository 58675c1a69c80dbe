package pubsub

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	project    = "projects/faultline" // imitations take any; all clients of a broker share it
	longestID  = 255
	shortestID = 3
)

// TopicID is a channel's name as Pub/Sub allows it. Letters, digits, ".", "-" and "_" stay, a slash
// becomes "~", any other byte "%" and its hexadecimal code; "x+" stands before a name that would
// begin with no letter or with "goog", or be too short. No two channels get one name.
func TopicID(channel string) string {
	id := escape(channel)
	if len(id) < shortestID || !isLetter(id[0]) || strings.HasPrefix(id, "goog") {
		id = "x+" + id
	}
	return shorten(id)
}

// SubscriptionID is the name of what a group has of a channel; of what the channel keeps for no
// group, where the group is "".
func SubscriptionID(channel, group string) string {
	return shorten(TopicID(channel) + "+" + escape(group))
}

func topicName(channel string) string { return project + "/topics/" + TopicID(channel) }

func subscriptionName(channel, group string) string {
	return project + "/subscriptions/" + SubscriptionID(channel, group)
}

func escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c == '/':
			b.WriteByte('~')
		case isLetter(c), '0' <= c && c <= '9', c == '.', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// shorten ends a name that is too long in a digest of all of it.
func shorten(id string) string {
	if len(id) <= longestID {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	digest := "%-" + hex.EncodeToString(sum[:])
	return id[:longestID-len(digest)] + digest
}
