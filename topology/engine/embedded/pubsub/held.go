package pubsub

import (
	"net/url"
	"strings"

	"github.com/faultline-sim/faultline/topology/engine"
)

// Held is how many messages each subscription has that are not acknowledged, by channel and group.
// No call of the service tells it: there it is a figure of Cloud Monitoring. A group stands as its
// first member. What a channel keeps for no group is left out.
func (e *Engine) Held() map[engine.Waiting]int64 {
	if !e.runs.Load() {
		return nil
	}
	held := map[engine.Waiting]int64{}
	e.data.mu.Lock()
	defer e.data.mu.Unlock()
	for name, sub := range e.data.subs {
		at, ok := waiting(sub.proto.Topic, name)
		if n := len(sub.items); ok && n > 0 {
			held[at] += int64(n)
		}
	}
	return held
}

// waiting reads the channel in a topic's name, and the group in that of its subscription, as the
// client writes them: "<topic>+<group>", a slash as "~", any other byte that is not allowed as "%"
// and its hexadecimal code, "x+" before a name that would begin wrongly.
func waiting(topic, sub string) (engine.Waiting, bool) {
	id := sub[strings.LastIndexByte(sub, '/')+1:]
	plus := strings.LastIndexByte(id, '+')
	channel, err := unescape(strings.TrimPrefix(topic[strings.LastIndexByte(topic, '/')+1:], "x+"))
	if err != nil {
		return engine.Waiting{}, false
	}
	group, err := unescape(id[plus+1:])
	if err != nil || group == "" {
		return engine.Waiting{}, false
	}
	return engine.Waiting{Channel: channel, Client: group + "-0"}, true
}

func unescape(id string) (string, error) {
	return url.PathUnescape(strings.ReplaceAll(id, "~", "/"))
}
