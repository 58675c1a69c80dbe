package sqs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Source: Amazon SQS API reference, CreateQueue (names) and SendMessage (MessageGroupId and
// MessageDeduplicationId).
const (
	mostName = 75 // without the suffix of FIFO queues
	mostID   = 128
	suffix   = ".fifo"
)

// Name is a channel's or a group's name as queues and topics may be called: a slash becomes "__", a
// dot "_-", any other byte that is not a letter, a digit or "-" becomes "_" and its hexadecimal
// code. No two become the same, except that one which would be too long ends in a hash.
func Name(name string) string { return fitting(encoded(name)) }

// OfGroup is the name of a group's own queue of a channel. "_g" stands in no other name.
func OfGroup(channel, group string) string {
	return fitting(encoded(channel) + "_g" + encoded(group))
}

func encoded(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
			b.WriteByte(c)
		case c == '/':
			b.WriteString("__")
		case c == '.':
			b.WriteString("_-")
		default:
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return b.String()
}

// fitting cuts a name that is too long and puts its hash in place of the rest. "_h" begins no
// other sequence.
func fitting(name string) string {
	if len(name) <= mostName {
		return name
	}
	const digits = 24
	cut := strings.TrimRight(name[:mostName-digits-2], "_-")
	return cut + "_h" + digest(name)[:digits]
}

// identifier is a text as message groups and deduplication ids may be: up to 128 printable ASCII
// characters. Other texts become a hash.
func identifier(text string) string {
	plain := text != "" && len(text) <= mostID && !strings.HasPrefix(text, "sha256:")
	for i := 0; plain && i < len(text); i++ {
		plain = '!' <= text[i] && text[i] <= '~'
	}
	if plain {
		return text
	}
	return "sha256:" + digest(text)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
