package topology

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestNamesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segments := rapid.SliceOfN(rapid.String(), 1, 4).Draw(t, "segments")
		if diff := cmp.Diff(segments, SplitName(JoinName(segments...))); diff != "" {
			t.Fatalf("%q: %s", JoinName(segments...), diff)
		}
	})
}

func TestChannelRefsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		node := JoinName(rapid.SliceOfN(rapid.String(), 1, 3).Draw(t, "segments")...)
		channel := rapid.StringMatching(`[a-z.]+(/:id)?`).Draw(t, "channel")
		ref := node + "/" + channel
		if ChannelNode(ref) != node || ChannelName(ref) != channel {
			t.Fatalf("%q is cut into %q and %q", ref, ChannelNode(ref), ChannelName(ref))
		}
	})
}

func TestResolve(t *testing.T) {
	topo := parsed(t, small+`  core: {messaging: {rule: {kind: service}}}
  rule.core: {kind: service}
`)
	tests := []struct{ name, ask, want, err string }{
		{"resolve/full name/itself", "home.app", "home.app", ""},
		{"resolve/suffix of two/found", "messaging.rule", "core.messaging.rule", ""},
		{"resolve/last segment/found", "rule", "core.messaging.rule", ""},
		{"resolve/quoted/found", `"home"."app"`, "home.app", ""},
		{"resolve/two nodes/ambiguous", "app", "",
			`node "app" is ambiguous, it could be away.app or home.app`},
		{"resolve/box/names its nodes", "messaging", "",
			`node "messaging" is not in the topology, it is a box with the nodes core.messaging.rule`},
		{"resolve/near short name/meant", "mesaging.rule", "",
			`node "mesaging.rule" is not in the topology, accepted: away.app, cloud, ` +
				`core.messaging.rule, gateway, home.app, lake, mqtt, rule.core, stream, worker; ` +
				`did you mean "messaging.rule"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := topo.Resolve(tt.ask)
			if text := errText(err); got != tt.want || text != tt.err {
				t.Errorf("got %q, %q\nwant %q, %q", got, text, tt.want, tt.err)
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestShort(t *testing.T) {
	topo := parsed(t, small+"  a.b.c: {kind: service}\n")
	for full, want := range map[string]string{
		"a.b.c": "c", "home.app": "home.app", "gateway": "gateway", "nobody.here": "nobody.here",
	} {
		if got := topo.Short(full); got != want {
			t.Errorf("short of %q is %q, want %q", full, got, want)
		}
	}
}

func TestSelect(t *testing.T) {
	topo := parsed(t, small, "worker.replicas=2")
	tests := []struct {
		name, pattern string
		want          []string
		replica       int
		err           string
	}{
		{"select/name/one", "worker", []string{"worker"}, -1, ""},
		{"select/replica/one", "worker[1]", []string{"worker"}, 1, ""},
		{"select/star below/all of the box", "home.*", []string{"home.app"}, -1, ""},
		{"select/star on a suffix/all", "ap*", []string{"home.app", "away.app"}, -1, ""},
		{"select/all/all", "*", []string{
			"home.app", "away.app", "gateway", "worker", "cloud", "mqtt", "stream", "lake",
		}, -1, ""},
		{"select/replica too high/refused", "worker[2]", nil, 0,
			`"worker[2]" names replica 2, worker has 2, counted from 0`},
		{"select/nothing matches/refused", "data.*", nil, 0,
			`node "data.*" is not in the topology, accepted: away.app, cloud, gateway, home.app, ` +
				`lake, mqtt, stream, worker`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			selected, err := topo.Select(tt.pattern)
			var names []string
			for _, s := range selected {
				names = append(names, s.Node.Name)
				if s.Replica != tt.replica {
					t.Errorf("replica %d, want %d", s.Replica, tt.replica)
				}
			}
			if diff := cmp.Diff(tt.want, names); diff != "" || errText(err) != tt.err {
				t.Errorf("error %q, want %q; %s", errText(err), tt.err, diff)
			}
		})
	}
}

func TestMemberFor(t *testing.T) {
	topo := parsed(t, small)
	first := topo.MemberFor("home.app", "device-7")
	if first == "" || first != topo.MemberFor("home.app", "device-7") {
		t.Errorf("the same text gives %q, then %q", first, topo.MemberFor("home.app", "device-7"))
	}
	if got := topo.MemberFor("gateway", "device-7"); got != "" {
		t.Errorf("a service has the member %q", got)
	}
}
