package program

import (
	"cmp"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
)

// event is begun for one item in one handler, with the fields that every such event has.
func (a *Actor) event(kind history.Kind, h *Handler, it *Item) history.Event {
	e := history.New(kind, a.now())
	e.Node, e.Replica = a.Program.Node.Name, a.Index
	e.Handler = h.Name
	e.Flow, e.Message, e.Trace = it.Message.Flow, it.Message.Number, it.Message.Trace
	e.Key, e.KeySeq = it.Message.Key, it.Message.KeySeq
	e.Delivery = it.given
	return e
}

// delivered is an event about the delivery itself: where it stood.
func (a *Actor) delivered(kind history.Kind, h *Handler, it *Item) history.Event {
	e := a.event(kind, h, it)
	e.Channel, e.Wire = cmp.Or(it.from, h.Source), h.wire
	e.Partition, e.Offset = it.Delivery.Partition, it.Delivery.Offset
	return e
}

// record keeps an event of a flow's message. A replica that crashed knows nothing more: what it
// was waiting for is unknown, the rest is not said.
func (a *Actor) record(e *history.Event) {
	if e.Message < 0 {
		return
	}
	if reason := a.gone.Load(); reason != nil {
		switch e.Kind {
		case history.Attempt, history.Publish, history.Call, history.Store:
			e.Outcome, e.Reason = history.Unknown, *reason
		default:
			return
		}
	}
	a.Env.Recorder.Record(e)
}

// end fills in how a try that began at a time ended.
func (a *Actor) end(e *history.Event, begin int64, f *simulators.Failure) {
	e.At = a.now()
	e.Duration = e.At - begin
	e.Outcome = history.Ok
	if f != nil {
		e.Outcome, e.Reason = f.Outcome, f.Reason
	}
}

func (a *Actor) now() int64 { return a.Env.Recorder.Now() }
