package service

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/conn/httpx"
	"github.com/faultline-sim/faultline/simulators/service/mailbox"
	"github.com/faultline-sim/faultline/simulators/service/program"
)

// The statuses that a service answers by itself.
const (
	statusAccepted     = 202
	statusNoContent    = 204
	statusBadRequest   = 400
	statusUnauthorized = 401
	statusTooMany      = 429
	statusUnavailable  = 503
)

// serve opens the replica's listener and answers requests, when anything of the node is asked for
// over HTTP.
func (r *replica) serve() error {
	if !r.svc.listens() {
		return nil
	}
	l, err := r.svc.env.Fabric.Listen(r.svc.node.Name, r.index)
	if err != nil {
		return err
	}
	server := httpx.NewServer(l)
	if err := r.routes(server); err != nil {
		return errors.Join(err, server.Close())
	}
	r.server.Store(server)
	server.Start()
	if r.ctx.Err() != nil {
		server.Kill() // crashed meanwhile
	}
	return nil
}

func (s *Service) listens() bool {
	for _, h := range s.program.Handlers {
		if h.HTTP != "" {
			return true
		}
	}
	return len(s.boxes) > 0
}

func (r *replica) routes(server *httpx.Server) error {
	for _, h := range r.svc.program.Handlers {
		if h.HTTP == "" {
			continue
		}
		if err := server.Handle(h.HTTP, r.endpoint(h)); err != nil {
			return err
		}
	}
	for ref, boxes := range r.svc.boxes {
		if err := server.Handle(mailbox.Pattern(ref), r.polls(boxes)); err != nil {
			return err
		}
	}
	return nil
}

// endpoint answers the requests of one handler. The work goes on when the caller hangs up, and
// ends when the replica does.
func (r *replica) endpoint(h *program.Handler) httpx.Handler {
	return func(_ context.Context, request *httpx.Request) httpx.Response {
		if status := r.refuse(h, request); status != 0 {
			return httpx.Response{Status: status}
		}
		it := &program.Item{Message: request.Message}
		if it.Message == nil {
			if it.Message = r.svc.env.Recall(request.Body); it.Message == nil {
				it.Message = program.Anonymous(request.Query.Get("user"))
			}
			it.Message.Token, it.Message.Data = request.Token, request.Body
		}
		if h.Ack == "before_work" {
			return r.takeIn(h, it)
		}
		if bound := r.bounds[h]; bound != nil {
			if bound.Acquire(r.ctx, 1) != nil {
				return httpx.Response{Status: statusUnavailable}
			}
			defer bound.Release(1)
		}
		if r.actor.Gate.Pass(r.ctx) != nil {
			return httpx.Response{Status: statusUnavailable}
		}
		r.actor.Handle(r.ctx, h, []*program.Item{it})
		return r.answered(h, it)
	}
}

// refuse is the status of a request that no handler shall see; 0 lets it in.
func (r *replica) refuse(h *program.Handler, request *httpx.Request) int {
	if status := r.svc.misbehaviors.TurnAway(int32(r.index)); status != 0 {
		return status
	}
	if r.svc.admit != nil && !r.svc.admit() {
		return statusTooMany
	}
	if r.actor.Over(h) {
		return statusTooMany
	}
	if r.svc.node.Authenticates != "" && r.actor.CheckToken(request.Token) != nil {
		return statusUnauthorized
	}
	return 0
}

// takeIn answers before the work and queues it.
func (r *replica) takeIn(h *program.Handler, it *program.Item) httpx.Response {
	if !r.lanes[h].push(it) {
		return httpx.Response{Status: statusUnavailable, Body: reasonBody("inbox full")}
	}
	return httpx.Response{Status: statusAccepted, Header: traceOf(it)}
}

// answered is what the caller is told of an item that was handled.
func (r *replica) answered(h *program.Handler, it *program.Item) httpx.Response {
	if r.ctx.Err() != nil {
		return httpx.Response{Status: statusUnavailable}
	}
	if f := it.Failure(); f != nil {
		return httpx.Response{
			Status: statusOf(h, f), Body: reasonBody(f.Reason), Header: traceOf(it),
		}
	}
	status, body := it.Answer()
	return httpx.Response{Status: status, Body: body, Header: traceOf(it)}
}

// traceOf lets an answer be seen as a flow's message on the wire.
func traceOf(it *program.Item) map[string][]string {
	if !it.InFlow() {
		return nil
	}
	return map[string][]string{"Traceparent": {it.Message.Traceparent()}}
}

func reasonBody(reason string) []byte { return []byte(`{"reason":` + strconv.Quote(reason) + `}`) }

// statusOf is the status that a failure is answered: 4xx when it is permanent, 503 when it is
// worth coming again.
func statusOf(h *program.Handler, f *simulators.Failure) int {
	var wanted program.Told
	switch {
	case errors.As(f.Err, &wanted):
		return int(wanted)
	case !h.Final(f):
		return statusUnavailable
	case f.Reason == simulators.ReasonAuth:
		return statusUnauthorized
	case f.Status >= 400 && f.Status < 500:
		return f.Status
	default:
		return statusBadRequest
	}
}

// polls answers the long polls of a mailbox: what the member has not acknowledged yet, as soon as
// there is something, or nothing after a while.
func (r *replica) polls(boxes *mailbox.Boxes) httpx.Handler {
	return func(ctx context.Context, request *httpx.Request) httpx.Response {
		if r.actor.Gate.Pass(ctx) != nil {
			return httpx.Response{Status: statusUnavailable}
		}
		acked, err := strconv.ParseInt(request.Query.Get("ack"), 10, 64)
		if err != nil {
			return httpx.Response{Status: statusBadRequest}
		}
		held, cancel := context.WithTimeout(ctx, mailbox.Hold)
		defer cancel()
		defer context.AfterFunc(r.intake, cancel)()
		got := boxes.Poll(held, request.Param("member"), acked)
		if len(got.Messages) == 0 {
			return httpx.Response{Status: statusNoContent}
		}
		body, err := json.Marshal(got)
		if err != nil {
			return httpx.Response{Status: statusUnavailable}
		}
		return httpx.Response{Body: body}
	}
}
