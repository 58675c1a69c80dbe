package mqtt

import (
	"slices"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// kept is what a broker leaves to the next one. The zero value is nothing.
type kept struct {
	sessions []session
	retained []packets.Packet
}

// session is one client's state on the broker.
type session struct {
	client        string
	version       byte
	expiry        uint32 // MQTT 5 session expiry interval, in seconds
	subscriptions []packets.Subscription
	backlog       []packets.Packet
}

// keep takes the state of a broker that has ended.
func keep(b *broker) (k kept) {
	for id, cl := range b.server.Clients.GetAll() {
		if !lasting(cl) {
			continue
		}
		s := session{
			client:  id,
			version: cl.Properties.ProtocolVersion,
			expiry:  cl.Properties.Props.SessionExpiryInterval,
			backlog: backlog(cl),
		}
		for _, sub := range cl.State.Subscriptions.GetAll() {
			s.subscriptions = append(s.subscriptions, sub)
		}
		k.sessions = append(k.sessions, s)
	}
	for topic, pk := range b.server.Topics.Retained.GetAll() {
		if topic[0] != '$' {
			k.retained = append(k.retained, pk)
		}
	}
	return k
}

// lasting says whether a client's session outlives its connection.
func lasting(cl *mochi.Client) bool {
	if cl.Properties.ProtocolVersion < 5 {
		return !cl.Properties.Clean
	}
	return cl.Properties.Props.SessionExpiryInterval > 0
}

// restore gives the state to a broker that does not serve yet.
func (k kept) restore(b *broker) {
	for _, s := range k.sessions {
		cl := b.server.NewClient(nil, b.door.ID(), s.client, false)
		cl.Properties.ProtocolVersion = s.version
		cl.Properties.Props.SessionExpiryInterval = s.expiry
		cl.Properties.Props.SessionExpiryIntervalFlag = s.expiry > 0
		for _, sub := range s.subscriptions {
			b.server.Topics.Subscribe(s.client, sub)
			cl.State.Subscriptions.Add(sub.Filter, sub)
		}
		for i, pk := range s.backlog {
			pk.Created = int64(i)
			cl.State.Inflight.Set(pk)
		}
		cl.Stop(packets.ErrServerShuttingDown)
		b.server.Clients.Add(cl)
	}
	for _, pk := range slices.Clone(k.retained) {
		b.server.Topics.RetainMessage(pk)
	}
}
