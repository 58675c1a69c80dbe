package kinesis

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	// mostStreamName is how long a stream's name may be, in characters. A table's may have 255, of
	// which a group's part gets what a stream's and the mark between them leave.
	mostStreamName = 128
	mostGroupName  = 255 - mostStreamName - len(betweenNames)
	// betweenNames and cutName stand in no name that encode makes of characters.
	betweenNames = "_."
	cutName      = "_-"
)

// StreamName is a channel's name as Kinesis allows it, another one for each channel: a slash
// becomes a dot, "_" is doubled, any other byte that is not a letter, a digit or "-" becomes "_"
// and its hexadecimal code. A name longer than 128 characters is cut, and ends with a hash of
// itself.
func StreamName(channel string) string { return encode(channel, mostStreamName) }

// TableName is the lease table of a group and a channel.
func TableName(channel, group string) string {
	return StreamName(channel) + betweenNames + encode(group, mostGroupName)
}

func encode(name string, most int) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c == '/':
			b.WriteByte('.')
		case c == '_':
			b.WriteString("__")
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return cut(b.String(), most)
}

// cut shortens a name, and keeps different ones different.
func cut(name string, most int) string {
	if len(name) <= most {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	end := cutName + hex.EncodeToString(sum[:16])
	return name[:most-len(end)] + end
}
