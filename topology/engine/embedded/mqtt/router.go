package mqtt

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	// mostUnacknowledged is how many messages a session holds for its client; half of MQTT's packet
	// identifiers, less a margin for publishers that look at the same time.
	mostUnacknowledged = 30_000
	// firstOwnID is where the packet identifiers of deliveries begin. The library keeps them in one
	// map with those that clients choose, which count from 1.
	firstOwnID = 1 << 15
	// firstOrder leaves the numbers below it to messages that a session has carried over.
	firstOrder = 1 << 17
)

// router decides who gets a message, as a hook of the library. The library would acknowledge a
// message before it has routed it, drop it when a client's queue is full, lose it when the client
// takes its session over meanwhile, and resend in no order; the router does these four itself.
type router struct {
	mochi.HookBase
	server       *mochi.Server
	authenticate func(user, password string) error
	pass         string // user name of the engine's own probe

	// takeover is held for writing while a client takes its session over, so that a message is
	// either in the old connection's backlog or behind it. Nothing under it waits for a client.
	takeover sync.RWMutex
	order    atomic.Int64 // messages are numbered as they come
	ids      atomic.Uint32
	refused  atomic.Int64
}

func newRouter(server *mochi.Server, authenticate func(user, password string) error) *router {
	r := &router{server: server, authenticate: authenticate, pass: newPass()}
	r.order.Store(firstOrder)
	return r
}

// ID names the hook.
func (r *router) ID() string { return "router" }

// Provides says which events the router wants.
func (r *router) Provides(event byte) bool {
	return bytes.IndexByte([]byte{
		mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnSessionEstablish,
		mochi.OnSessionEstablished, mochi.OnPacketRead, mochi.OnPacketEncode, mochi.OnPublish,
	}, event) >= 0
}

// OnConnectAuthenticate asks the node's judge.
func (r *router) OnConnectAuthenticate(_ *mochi.Client, pk packets.Packet) bool {
	user, password := string(pk.Connect.Username), string(pk.Connect.Password)
	return r.authenticate == nil || user == r.pass || r.authenticate(user, password) == nil
}

// OnACLCheck lets whoever is in do all.
func (r *router) OnACLCheck(*mochi.Client, string, bool) bool { return true }

// OnSessionEstablish stops routing and puts the session's backlog in order.
func (r *router) OnSessionEstablish(cl *mochi.Client, pk packets.Packet) {
	c, ours := cl.Net.Conn.(*conn)
	if !ours {
		return
	}
	r.takeover.Lock()
	c.unlock = r.takeover.Unlock
	if old, ok := r.server.Clients.Get(cl.ID); ok && !pk.Connect.Clean {
		renumber(old)
	}
}

// OnSessionEstablished lets routing go on: the backlog has been written.
func (r *router) OnSessionEstablished(cl *mochi.Client, _ packets.Packet) {
	if c, ours := cl.Net.Conn.(*conn); ours {
		c.release()
	}
}

// renumber gives a session's messages the numbers from 0 in their order: the library resends by
// the low 16 bits only.
func renumber(cl *mochi.Client) {
	for i, pk := range backlog(cl) {
		pk.Created = int64(i)
		cl.State.Inflight.Set(pk)
	}
}

// backlog is a session's unacknowledged messages in their order.
func backlog(cl *mochi.Client) []packets.Packet {
	all := cl.State.Inflight.GetAll(false)
	slices.SortFunc(all, func(a, b packets.Packet) int { return int(a.Created - b.Created) })
	return all
}

// OnPacketRead takes a QoS 1 publish's identifier aside, so that the library does not mistake it
// for one of its own deliveries'.
func (r *router) OnPacketRead(_ *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if pk.FixedHeader.Type == packets.Publish && pk.FixedHeader.Qos == 1 && pk.PacketID != 0 {
		pk.ReasonCodes = binary.BigEndian.AppendUint16(nil, pk.PacketID)
		pk.FixedHeader.Qos, pk.PacketID = 0, 0
	}
	return pk, nil
}

// OnPublish routes the message, then acknowledges it.
func (r *router) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	asked := pk.ReasonCodes
	if pk.ReasonCodes = nil; len(asked) == 2 {
		pk.FixedHeader.Qos = 1
	}
	if !r.route(pk) {
		return pk, packets.ErrRejectPacket
	}
	if len(asked) != 2 {
		return pk, packets.CodeSuccessIgnore
	}
	_ = cl.WritePacket(packets.Packet{ // a publisher that has gone will ask again
		FixedHeader: packets.FixedHeader{Type: packets.Puback},
		PacketID:    binary.BigEndian.Uint16(asked),
	})
	return pk, packets.ErrRejectPacket
}

// route gives a message to all its subscribers, or to none when one of them has no room.
func (r *router) route(pk packets.Packet) bool {
	r.takeover.RLock()
	defer r.takeover.RUnlock()
	to := r.subscribers(pk)
	for cl := range to {
		if pk.FixedHeader.Qos > 0 && cl.State.Inflight.Len() >= mostUnacknowledged {
			r.refused.Add(1)
			return false
		}
	}
	pk.Created = r.order.Add(1)
	for cl, qos := range to {
		r.deliver(cl, pk, min(qos, pk.FixedHeader.Qos))
	}
	if pk.FixedHeader.Retain {
		r.server.Topics.RetainMessage(pk.Copy(false))
	}
	return true
}

// subscribers are the sessions that get a message, each with its granted QoS.
func (r *router) subscribers(pk packets.Packet) map[*mochi.Client]byte {
	subs := r.server.Topics.Subscribers(pk.TopicName)
	to := make(map[*mochi.Client]byte, len(subs.Subscriptions)+len(subs.Shared))
	for id, sub := range subs.Subscriptions {
		if cl, ok := r.server.Clients.Get(id); ok && !(sub.NoLocal && id == pk.Origin) {
			to[cl] = sub.Qos
		}
	}
	for _, members := range subs.Shared {
		if cl, sub, ok := r.member(members, pk.TopicName); ok {
			to[cl] = max(to[cl], sub.Qos)
		}
	}
	return to
}

// member is the one of a shared subscription that gets a topic's messages: always the same one
// while the group stays as it is, so that a topic's order holds; one that is away only when all
// are.
func (r *router) member(group map[string]packets.Subscription, topic string) (
	*mochi.Client, packets.Subscription, bool,
) {
	var here, away []*mochi.Client
	for _, id := range slices.Sorted(maps.Keys(group)) {
		cl, ok := r.server.Clients.Get(id)
		switch {
		case ok && !cl.Closed():
			here = append(here, cl)
		case ok:
			away = append(away, cl)
		}
	}
	if len(here) == 0 {
		here = away
	}
	if len(here) == 0 {
		return nil, packets.Subscription{}, false
	}
	h := fnv.New32a()
	h.Write([]byte(topic))
	cl := here[h.Sum32()%uint32(len(here))]
	return cl, group[cl.ID], true
}

// deliver puts a message in a session and sends it when the client is there. A stored message's
// duplicate flag says that it was sent.
func (r *router) deliver(cl *mochi.Client, pk packets.Packet, qos byte) {
	out := pk.Copy(false)
	out.FixedHeader.Retain = false
	out.FixedHeader.Qos = qos
	if qos > 0 {
		out.PacketID = r.freeID(cl)
		stored := out
		stored.FixedHeader.Dup = !cl.Closed()
		cl.State.Inflight.Set(stored)
	}
	_ = cl.WritePacket(out) // what does not reach the client now stays in its session
}

func (r *router) freeID(cl *mochi.Client) uint16 {
	for {
		id := uint16(firstOwnID | r.ids.Add(1)&(firstOwnID-1))
		if _, used := cl.State.Inflight.Get(id); !used {
			return id
		}
	}
}

// OnPacketEncode takes the duplicate flag from a backlog's message that is sent for the first time.
func (r *router) OnPacketEncode(cl *mochi.Client, pk packets.Packet) packets.Packet {
	if pk.FixedHeader.Type != packets.Publish || !pk.FixedHeader.Dup {
		return pk
	}
	if stored, ok := cl.State.Inflight.Get(pk.PacketID); ok && !stored.FixedHeader.Dup {
		pk.FixedHeader.Dup = false
		stored.FixedHeader.Dup = true
		cl.State.Inflight.Set(stored)
	}
	return pk
}
