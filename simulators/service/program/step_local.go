package program

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/auth"
	"github.com/faultline-sim/faultline/simulators/message"
)

// work takes time, drawn from the step's log-normal distribution.
func work(ctx context.Context, x *run, s *step, it *Item) error {
	normal := x.a.draw(it, "work "+x.h.Name+" "+s.Name, int(x.attempt)).NormFloat64()
	return simulators.Wait(ctx, time.Duration(math.Exp(s.mu+s.sigma*normal)))
}

// validate refuses, for good, a body that breaks the schema.
func validate(_ context.Context, x *run, s *step, it *Item) error {
	env, err := it.env(x.a.Program)
	if err != nil || s.schema == nil {
		return err
	}
	if err := s.schema.Validate(env.Data); err != nil {
		return simulators.Refusal(simulators.ReasonSchema, err)
	}
	return nil
}

// when does its own steps for the messages that meet the condition. The others pass it by, or
// rightly end here.
func when(ctx context.Context, x *run, s *step, it *Item) error {
	env, err := it.env(x.a.Program)
	if err != nil {
		return err
	}
	holds, err := s.cond.Holds(env)
	if err != nil {
		return simulators.Refusal(simulators.ReasonExpression, err)
	}
	if !holds {
		x.filter(s, it)
		return nil
	}
	for _, inner := range s.do {
		if !x.concerns(inner, it) {
			continue
		}
		if err := x.stepOf(ctx, inner, it); err != nil {
			return err
		}
	}
	return nil
}

func (x *run) filter(s *step, it *Item) {
	if s.Else != "filter" {
		return
	}
	it.ended = true
	e := x.a.event(history.Filter, x.h, it)
	e.Step = s.Name
	x.a.record(&e)
}

// authenticate refuses, for good, a message whose token is not good.
func authenticate(_ context.Context, x *run, _ *step, it *Item) error {
	return x.a.CheckToken(it.Message.Token)
}

// issue answers with a token for the message's subject.
func issue(_ context.Context, x *run, _ *step, it *Item) error {
	token, err := x.a.Authority.Issue(x.a.Program.Node.Name, it.Message.Subject)
	if err != nil {
		return err
	}
	it.answer.body, err = json.Marshal(auth.Grant{
		AccessToken: token, TokenType: "Bearer", ExpiresIn: int(auth.Life / time.Second),
	})
	if err != nil {
		return fmt.Errorf("write grant: %w", err)
	}
	return nil
}

// reply answers the caller with what the last step was told. A handler without a caller answers
// over the channel that the message asks for.
func reply(ctx context.Context, x *run, s *step, it *Item) error {
	if s.Status != 0 {
		it.answer.status = s.Status
	}
	to := it.Message.Headers[message.HeaderReplyTo]
	if to == "" || it.Delivery.Ack == nil {
		return nil
	}
	return x.publishTo(ctx, s, it, to, answerTo(it.Message, it.answer.body))
}
