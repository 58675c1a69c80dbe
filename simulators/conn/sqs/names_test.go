package sqs_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/faultline-sim/faultline/simulators/conn/sqs"
)

func TestName(t *testing.T) {
	for _, tt := range []struct{ name, channel, want string }{
		{"name/plain/as it is", "events-1", "events-1"},
		{"name/levels and dots/told apart", "a/b.dead", "a__b_-dead"},
		{"name/underscore and others/escaped", "a_b %", "a_5fb_20_25"},
		{"name/unicode/escaped", "é", "_c3_a9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := sqs.Name(tt.channel); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

var allowedName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,75}$`)

func TestNamesAreAllowedAndDiffer(t *testing.T) {
	text := rapid.OneOf(rapid.StringN(1, 100, -1), rapid.StringMatching(`[ab_./g-]{1,8}`))
	rapid.Check(t, func(t *rapid.T) {
		all := map[string]string{}
		for _, channel := range rapid.SliceOfN(text, 2, 4).Draw(t, "channels") {
			group := rapid.StringMatching(`[ab_./g-]{1,8}`).Draw(t, "group")
			for of, name := range map[string]string{
				channel:                  sqs.Name(channel),
				channel + "\x00" + group: sqs.OfGroup(channel, group),
			} {
				if other, taken := all[name]; taken && other != of {
					t.Errorf("%q and %q are both %q", of, other, name)
				}
				if !allowedName.MatchString(name) {
					t.Errorf("%q is %q", of, name)
				}
				all[name] = of
			}
		}
	})
	if long := strings.Repeat("x", 74); sqs.Name(long+"ab") == sqs.Name(long+"ac") {
		t.Error("two long names are the same")
	}
}
