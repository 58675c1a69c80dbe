package pubsub_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/faultline-sim/faultline/simulators/conn/pubsub"
)

var allowed = regexp.MustCompile(`^[A-Za-z][-A-Za-z0-9._~+%]{2,254}$`)

func TestNames(t *testing.T) {
	for channel, want := range map[string]string{
		"events":          "events",
		"orders/eu.new":   "orders~eu.new",
		"ab":              "x+ab",
		"9":               "x+9",
		"google/x":        "x+google~x",
		"50%":             "x+50%25",
		"방":               "x+%EB%B0%A9",
		"events.v1/a b~c": "events.v1~a%20b%7Ec",
	} {
		if got := pubsub.TopicID(channel); got != want {
			t.Errorf("%q became %q, want %q", channel, got, want)
		}
	}
	name := rapid.OneOf(rapid.StringN(1, 6, -1), rapid.StringMatching(`[a-c/.~+%x]{1,5}`),
		rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat(rapid.SampledFrom([]string{"a", "방"}).Draw(t, "of"), 300) +
				rapid.StringN(1, 2, -1).Draw(t, "end")
		}))
	rapid.Check(t, func(t *rapid.T) {
		a, b := name.Draw(t, "a"), name.Draw(t, "b")
		g, h := name.Draw(t, "g"), rapid.OneOf(rapid.Just(""), name).Draw(t, "h")
		for _, id := range []string{pubsub.TopicID(a), pubsub.SubscriptionID(a, h)} {
			if !allowed.MatchString(id) || strings.HasPrefix(id, "goog") {
				t.Fatalf("%q is no name", id)
			}
		}
		if (a == b) != (pubsub.TopicID(a) == pubsub.TopicID(b)) {
			t.Fatalf("%q and %q", a, b)
		}
		same := a == b && g == h
		if same != (pubsub.SubscriptionID(a, g) == pubsub.SubscriptionID(b, h)) {
			t.Fatalf("%q of %q and %q of %q", a, g, b, h)
		}
	})
}
