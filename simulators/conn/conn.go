// Package conn says what a simulator may ask of a broker or store; the folders below it hold one
// client each.
//
// It is used in the run step of load → plan → run → check → report. There is one client path per
// protocol, whatever engine is behind it, and every client dials through its wire.
package conn

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
)

// Errors that callers branch on.
var (
	// ErrUnknown marks an answer that never came: what was asked may have happened.
	ErrUnknown = errors.New("no answer")
	// ErrNotFound is a lookup without a result.
	ErrNotFound = errors.New("not found")
	// ErrUnsupported is asked of a protocol that cannot do it.
	ErrUnsupported = errors.New("not supported by the protocol")
	// ErrRefused is an answer that no repetition changes: wrong credentials, a missing channel, a
	// message that is too large. Nothing was written. Its text names the broker (its wire), the
	// channel and what to change.
	ErrRefused = errors.New("refused")
)

// Config is what every client is made from.
type Config struct {
	Dialer   wire.Dialer
	Client   string // client id, unique among the broker's clients
	User     string
	Password func() string // asked at each connect, so that a renewed token is used; nil for none
	Session  topology.Session
	// Rand spreads the pauses between tries to connect; nil makes one from the client id.
	Rand *rand.Rand
	// Recall is the message that a body without an envelope belongs to, nil for none; nil is
	// allowed. It is safe for concurrent use.
	Recall Recall
	// OnState is told when the connection comes up ("connect") or goes away ("disconnect"); nil is
	// allowed. It must not block.
	OnState func(state string)
}

// Chance is Rand, or where there is none what is made from the client id.
func (c Config) Chance() *rand.Rand {
	if c.Rand != nil {
		return c.Rand
	}
	id := fnv.New64a()
	id.Write([]byte(c.Client))
	return rand.New(rand.NewPCG(id.Sum64(), 0))
}

// ReconnectPause is the pause before the n-th try in a row to connect again, n from 1, as the session
// declares it; without one it is otherwise. The jitter is drawn from r, which the caller guards.
func (c Config) ReconnectPause(n int, r *rand.Rand, otherwise time.Duration) time.Duration {
	declared := c.Session.Reconnect
	if declared.Initial <= 0 {
		return otherwise
	}
	least, most := declared.Pause(n)
	if most <= least {
		return least
	}
	return least + time.Duration(r.Int64N(int64(most-least)+1))
}

// Recall knows a message by its body alone.
type Recall func(body []byte) *message.Message

// Otherwise is what was read, or else the message that the body belongs to, where that is known.
func (r Recall) Otherwise(m *message.Message, err error, body []byte) (*message.Message, error) {
	if err == nil || r == nil {
		return m, err
	}
	if known := r(body); known != nil {
		return known, nil
	}
	return m, err
}

// Broker is one client of a message broker. It reconnects by itself until closed. Methods are safe
// for concurrent use; each one honours its context.
type Broker interface {
	// Connect returns when the client is connected and may be used.
	Connect(ctx context.Context) error
	// Declare makes channels where the broker needs that, each with what its Groups take from, so
	// that nothing published from then on is missed by them; a channel without groups keeps what is
	// published, to be read by an audit. Existing ones are left as they are.
	Declare(ctx context.Context, channels []*topology.Channel) error
	// Publish sends one message to a concrete channel name (":id" already filled in) and returns
	// when the broker has it. An error that wraps ErrUnknown means it may have it.
	Publish(ctx context.Context, channel string, m *message.Message) (Receipt, error)
	// Subscribe consumes until ctx ends or the client is closed; it returns once deliveries can
	// arrive. Handle is called from one goroutine per partition (or one in all) and must not block
	// for long: it passes work on and settles later.
	Subscribe(ctx context.Context, s Subscription) error
	// Depth is how many messages of a channel the group has not yet been done with.
	Depth(ctx context.Context, channel, group string) (int64, error)
	// Audit reads all that stands in a channel, from its beginning to its present end, without
	// disturbing consumers. Brokers that keep nothing to read answer ErrUnsupported.
	Audit(ctx context.Context, channel string, found func(*message.Message) error) error
	// Close ends the client in order and returns when nothing of it is left.
	Close() error
}

// Crasher is implemented by clients that can go without a goodbye, as a process does that dies:
// connections are reset, nothing more is sent, settled or committed. Close is called after it.
type Crasher interface {
	Crash()
}

// Receipt says where a published message went, where the broker tells.
type Receipt struct {
	Partition int32
	Offset    int64
}

// Subscription is what a consumer asks for.
type Subscription struct {
	Channel  string // channel name; ":id" subscribes to all of them
	Group    string
	QoS      int
	Prefetch int // deliveries unsettled at once, at most; 0 is the client's default
	Handle   func(Delivery)
}

// Delivery is one message given to a consumer. Exactly one of Ack, Nack and Reject is called, once.
type Delivery struct {
	Message     *message.Message // nil when Err is set
	Err         error            // the payload is not an envelope
	Raw         []byte           // set with Err
	Channel     string           // the concrete channel
	Partition   int32
	Offset      int64
	Redelivered bool // the broker says it was delivered before
	// Scope is what is handed out in order, and to this consumer again when it is given back: a
	// partition, or a key of a channel. While one of a scope is given back and has not come again,
	// later ones wait, as they do in that broker's own clients. "" promises no order.
	Scope string
	// Lost says that the delivery is no longer this consumer's: its part went to another, who is given
	// it too. Such is not worked on. Nil is never.
	Lost func() bool
	// Attempt is how many times the broker has delivered it to this group, this time included, by
	// the broker's own count; 0 where it keeps none that a client may see.
	Attempt int
	Ack     func(context.Context) error
	Nack    func(context.Context) error // to be delivered again
	// Confirm is called before Ack by who wants to know when the broker has the acknowledgement: told
	// is called then, once, with nil, or with why it does not have it or that will never be known. It
	// must not block. Where Confirm is nil the broker has it when Ack returns.
	Confirm func(told func(error))
	// Reject hands it to the broker's own dead-lettering at once; nil where there is none.
	Reject func(context.Context) error
}

// Store is one client of a data store. Methods are safe for concurrent use.
type Store interface {
	// Connect returns when the store answers.
	Connect(ctx context.Context) error
	// Declare makes the tables (buckets, key spaces) where the store needs that.
	Declare(ctx context.Context, tables []string) error
	// Put writes messages, each once by its id however often it is put.
	Put(ctx context.Context, table string, ms []*message.Message) error
	// Append writes messages as new rows each time, also when the id is there already.
	Append(ctx context.Context, table string, ms []*message.Message) error
	// Get reads one message by id, or ErrNotFound.
	Get(ctx context.Context, table, id string) (*message.Message, error)
	// Audit reads every row; copies counts rows of one id.
	Audit(ctx context.Context, table string, found func(m *message.Message, copies int) error) error
	// Close ends the client and returns when nothing of it is left.
	Close() error
}

// Lister is a store that can tell what it holds without reading it.
type Lister interface {
	// List is Audit for the ids alone.
	List(ctx context.Context, table string, found func(id string, copies int) error) error
}

// ReconnectWithin is how long a client may wait between two tries to connect at most, where its
// session does not say.
const ReconnectWithin = time.Second

// DefaultPrefetch is how many deliveries may be unsettled at once where a subscription does not
// say.
const DefaultPrefetch = 256
