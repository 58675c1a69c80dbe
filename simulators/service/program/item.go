package program

import (
	"encoding/json"
	"time"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
)

// Item is one delivery on its way through a handler. It is owned by the goroutine that runs it.
type Item struct {
	Delivery conn.Delivery    // without functions when the trigger is not a channel
	Message  *message.Message // of a flow, or Anonymous

	before    int                 // attempts in earlier deliveries, over a retry channel
	from      string              // the retry channel it was taken from, "" for the handler's source
	origin    string              // the concrete channel it was taken from first, "" for this one
	given     int32               // how often the handler was given this message, from 1
	settled   bool                // given back to its broker already
	back      bool                // to be delivered again
	ended     bool                // filtered, or known already: no further step is for it
	duplicate bool                // known already
	failure   *simulators.Failure // of the last attempt; nil when it went well
	firstFail time.Time
	lastFail  time.Time

	answer answer
	data   map[string]any // the body, decoded when first asked for
}

// answer is what a caller is told, or what a step was told by the one it asked.
type answer struct {
	status int
	body   []byte
}

// Failure is why the item's last attempt failed; nil when it went well, or was dead-lettered.
func (it *Item) Failure() *simulators.Failure { return it.failure }

// GivenBack says that the item's delivery was given back, and that it comes again.
func (it *Item) GivenBack() bool { return it.back }

// Lost says that the item's delivery is no longer the consumer's.
func (it *Item) Lost() bool { return it.Delivery.Lost != nil && it.Delivery.Lost() }

// Answer is what the steps have to say to a caller; status 0 is none of its own.
func (it *Item) Answer() (status int, body []byte) { return it.answer.status, it.answer.body }

// Anonymous is the message of a request, or a tick of the clock, that belongs to no flow.
func Anonymous(subject string) *message.Message {
	return &message.Message{Number: -1, KeySeq: -1, ParentNumber: -1, Subject: subject}
}

// InFlow says that the item is a flow's message, and so is recorded.
func (it *Item) InFlow() bool { return it.Message.Number >= 0 }

// env is what an expression over the item may name; the body is decoded once.
func (it *Item) env(p *Program) (topology.MessageEnv, error) {
	if it.data == nil && len(it.Message.Data) > 0 {
		if err := json.Unmarshal(it.Message.Data, &it.data); err != nil {
			return topology.MessageEnv{}, simulators.Refusal(simulators.ReasonSchema, err)
		}
	}
	return topology.MessageEnv{
		Data: it.data, Flow: it.Message.Flow, Subject: it.Message.Subject, Key: it.Message.Key,
		Member: p.member,
	}, nil
}

// fail notes why the attempt failed, and when.
func (it *Item) fail(f *simulators.Failure, now time.Time) {
	it.failure = f
	if it.firstFail.IsZero() {
		it.firstFail = now
	}
	it.lastFail = now
}
