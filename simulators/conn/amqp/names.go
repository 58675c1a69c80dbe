package amqp

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// longestName is how many bytes a name may have on the wire (a short string).
const longestName = 255

// reserved begins the names that the broker keeps for itself.
const reserved = "amq."

// ExchangeName is a channel's name as RabbitMQ takes it: UTF-8 as it is, but ":" and "#", which
// separate the parts of a queue's name, control characters, what is no UTF-8 and the first letter
// of a reserved name become "_" and their hexadecimal code, and so does a "_" that would be read as
// the beginning of one. Different channels have different names.
func ExchangeName(channel string) string {
	var b strings.Builder
	for i := 0; i < len(channel); {
		r, size := utf8.DecodeRuneInString(channel[i:])
		switch {
		case r == utf8.RuneError && size == 1, r == ':', r == '#', r < ' ', r == 0x7f,
			r == '_' && isEscape(channel[i:]), i == 0 && strings.HasPrefix(channel, reserved):
			fmt.Fprintf(&b, "_%02x", channel[i])
		default:
			b.WriteString(channel[i : i+size])
		}
		i += size
	}
	return b.String()
}

// isEscape says whether a text begins as an escape does.
func isEscape(s string) bool {
	return len(s) >= 3 && s[0] == '_' && isHex(s[1]) && isHex(s[2])
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }

// channelOf undoes ExchangeName.
func channelOf(exchange string) string {
	var b strings.Builder
	for i := 0; i < len(exchange); i++ {
		if isEscape(exchange[i:]) {
			code, _ := strconv.ParseUint(exchange[i+1:i+3], 16, 8) // digits they are
			b.WriteByte(byte(code))
			i += 2
			continue
		}
		b.WriteByte(exchange[i])
	}
	return b.String()
}

// queueName is where a group's messages of one part stand; no group is the channel's own queue, a
// part below 0 the only one.
func queueName(channel, group string, part int) string {
	name := ExchangeName(channel)
	if group != "" {
		name += ":" + ExchangeName(group)
	}
	if part >= 0 {
		name += "#" + strconv.Itoa(part)
	}
	return name
}

// What a channel's layout is told by: exchanges that nothing is published to. Of a channel with
// parts, the one of part 0 is made last.
func partMark(channel string, part int) string {
	return ExchangeName(channel) + "#" + strconv.Itoa(part)
}

func nativeMark(channel string) string    { return ExchangeName(channel) + "#native" }
func transientMark(channel string) string { return ExchangeName(channel) + "#transient" }

// What the members of a group agree by; queueName says whose they are.
func membersQueue(channel, group string) string { return ofGroup(channel, group, "members") }
func enoughQueue(channel, group string) string  { return ofGroup(channel, group, "enough") }
func questions(channel, group string) string    { return ofGroup(channel, group, "questions") }
func lockQueue(channel, group, p string) string { return ofGroup(channel, group, "lock"+p) }

func ofGroup(channel, group, what string) string {
	return queueName(channel, group, -1) + "#" + what
}

// tooLong says what to change where a name does not fit, "" where it does.
func tooLong(channel string, groups []string) string {
	longest := len("#questions") + len(ExchangeName(channel))
	for _, g := range groups {
		longest = max(longest, len(ExchangeName(channel))+len(ExchangeName(g))+len(":#questions"))
	}
	if longest <= longestName {
		return ""
	}
	return fmt.Sprintf("with its group's its name has %d bytes on the broker, at most %d are taken: "+
		"shorten it", longest, longestName)
}
