package amqp_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/faultline-sim/faultline/simulators/conn/amqp"
)

func TestExchangeName(t *testing.T) {
	for _, c := range []struct{ name, channel, want string }{
		{"slash and dot/as they are", "orders/new.dead", "orders/new.dead"},
		{"unicode and per cent/as they are", "채널 %", "채널 %"},
		{"what separates/escaped", "a:b#c", "a_3ab_23c"},
		{"underscore/as it is", "service_platform", "service_platform"},
		{"underscore before two digits/escaped", "a_3ab", "a_5f3ab"},
		{"reserved beginning/escaped", "amq.direct", "_61mq.direct"},
		{"control and no UTF-8/escaped", "a\r\xff", "a_0d_ff"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := amqp.ExchangeName(c.channel); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestNamesAreInjectiveAndTaken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		channel := string(rapid.SliceOf(rapid.OneOf(
			rapid.SampledFrom([]byte("a_5f:#%./\r\xff")), rapid.Byte(),
		)).Draw(t, "channel"))
		name := amqp.ExchangeName(channel)
		if back := amqp.ChannelOf(name); back != channel {
			t.Errorf("%q became %q and then %q", channel, name, back)
		}
		if !utf8.ValidString(name) || strings.ContainsAny(name, ":#\r\n") {
			t.Errorf("%q became %q, which the broker does not take", channel, name)
		}
	})
}
