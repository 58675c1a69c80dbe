package fleet

import (
	"context"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
)

// publishWithin bounds one try to publish where the send declares no timeout: a device that hears
// nothing for so long sends again.
const publishWithin = 5 * time.Second

// deliver tries to send the letter until it is answered, its tries are used up, or the fleet is
// closed. Every try is a row.
func (l *letter) deliver() {
	f := l.member.fleet
	retry := l.retry()
	for n := 1; ; n++ {
		failure := l.try(f.life, n)
		done := failure == nil || failure.Final(retry.Permanent) ||
			retry.Attempts > 0 && n >= retry.Attempts
		if done || f.life.Err() != nil {
			l.answered(failure)
			return
		}
		if simulators.Wait(f.life, l.pause(retry.Backoff, n)) != nil {
			l.answered(failure)
			return
		}
	}
}

// retry is the send's own policy. A device that publishes at least once has no other choice than
// to go on until it is acknowledged, as its session declares.
func (l *letter) retry() policy.Retry {
	switch declared := l.send.Policy.Retry; {
	case declared != nil:
		return policy.Retry{
			Attempts: max(1, declared.Attempts), Backoff: declared.Backoff,
			Permanent: declared.Permanent,
		}
	case l.send.Once, l.send.broker == "", l.send.flow.Guarantee == topology.AtMostOnce:
		return policy.Retry{Attempts: 1}
	default:
		return policy.Retry{Backoff: l.member.fleet.node.Session.Reconnect}
	}
}

func (l *letter) pause(b policy.Backoff, n int) time.Duration {
	l.member.mu.Lock()
	defer l.member.mu.Unlock()
	return simulators.Spread(b, n, l.member.rand)
}

func (l *letter) try(ctx context.Context, n int) *simulators.Failure {
	timeout := l.send.Policy.Timeout
	if timeout == 0 && l.send.broker != "" && !l.send.Unbounded {
		timeout = publishWithin
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	if l.send.broker == "" {
		return l.post(ctx, n)
	}
	return l.publish(ctx, n)
}

func (l *letter) publish(ctx context.Context, n int) *simulators.Failure {
	m := l.member
	begin := m.fleet.env.Recorder.Now()
	channel := fill(l.send.channel, l.message.Subject)
	var err error
	for range 1 + m.fleet.misbehaviors.Duplicate(m.index, l.message) {
		if _, err = m.actor.Brokers[l.send.broker].Publish(ctx, channel, l.message); err != nil {
			break
		}
	}
	failure := simulators.Explain(err)
	l.tried(history.Publish, n, begin, failure)
	return failure
}

func (l *letter) post(ctx context.Context, n int) *simulators.Failure {
	m := l.member
	begin := m.fleet.env.Recorder.Now()
	message := l.withToken()
	path := fill(l.send.path, l.message.Subject)
	got, err := m.fleet.callees[l.send.callee].Do(ctx, l.send.method, path, message)
	failure := simulators.Explain(err)
	if err == nil {
		failure = simulators.ExplainStatus(got.Status)
	}
	l.tried(history.Call, n, begin, failure)
	if failure != nil && failure.Status == statusUnauthorized && m.fleet.login.node != "" {
		m.logIn(ctx) // the next try shows the new token
	}
	if failure == nil && l.send.flow.ReplyWithin > 0 {
		e := l.event(history.Reply)
		e.Outcome, e.Duration = history.Ok, e.At-l.intended
		m.fleet.env.Recorder.Record(&e)
	}
	return failure
}

const statusUnauthorized = 401

// withToken is the message as the member sends it now.
func (l *letter) withToken() *message.Message {
	text := l.member.token.get()
	if text == "" {
		return l.message
	}
	shown := *l.message
	shown.Token = text
	return &shown
}

// tried records one try.
func (l *letter) tried(kind history.Kind, n int, begin int64, failure *simulators.Failure) {
	e := l.event(kind)
	e.Step, e.Wire, e.Attempt = l.send.name, l.send.wire, int32(n)
	e.Duration, e.Outcome = e.At-begin, history.Ok
	if kind == history.Publish {
		e.Channel = l.send.To
	}
	if failure != nil {
		e.Outcome, e.Reason = failure.Outcome, failure.Reason
	}
	l.member.fleet.env.Recorder.Record(&e)
}
