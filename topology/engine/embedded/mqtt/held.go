package mqtt

import (
	"strings"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
)

// Held is how many QoS 1 messages stand in each session, unacknowledged, by the channel that the
// topic belongs to. It walks all sessions: some microseconds a hundred messages.
func (e *Engine) Held() map[engine.Waiting]int64 {
	b := e.broker.Load()
	if b == nil {
		return nil
	}
	held := map[engine.Waiting]int64{}
	for id, cl := range b.server.Clients.GetAll() {
		if cl.State.Inflight.Len() == 0 {
			continue
		}
		for _, pk := range cl.State.Inflight.GetAll(false) {
			held[engine.Waiting{Channel: e.channelOf(pk.TopicName), Client: id}]++
		}
	}
	return held
}

// channelOf is the name of the channel that a topic belongs to, the topic itself when none does.
func (e *Engine) channelOf(topic string) string {
	for _, c := range e.cfg.Channels {
		name := topology.ChannelName(c.Ref)
		if name == topic || matches(strings.Split(name, "/"), strings.Split(topic, "/")) {
			return name
		}
	}
	return topic
}

// matches says that a topic's levels are a channel's, whose ":id" stands for any one level.
func matches(channel, topic []string) bool {
	if len(channel) != len(topic) {
		return false
	}
	for i, level := range channel {
		if level != ":id" && level != topic[i] {
			return false
		}
	}
	return true
}
