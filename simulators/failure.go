package simulators

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/topology/policy"
)

// The reasons that simulators give for failures, beside words of their own and HTTP statuses ("404").
const (
	ReasonTimeout     = "timeout"      // no answer within the declared time
	ReasonRefused     = "refused"      // nobody listens
	ReasonReset       = "reset"        // the connection broke
	ReasonNoAnswer    = "no_answer"    // any other way of not getting an answer
	ReasonError       = "error"        // an answer that is an error
	ReasonSchema      = "schema"       // the body breaks its schema
	ReasonAuth        = "auth"         // the token is not good
	ReasonExpression  = "expression"   // an expression cannot be evaluated over the body
	ReasonPoison      = "poison"       // the message makes its handler fail
	ReasonBreakerOpen = "breaker_open" // not tried
	ReasonBulkhead    = "bulkhead"     // not tried, too many at once
	ReasonRateLimit   = "rate_limit"   // not tried, too many in a while
	ReasonCrash       = "crash"        // the replica crashed meanwhile
	ReasonStopped     = "stopped"      // the replica or member was stopped meanwhile
	ReasonPanic       = "panic"        // a handler of the user's own panicked
	ReasonPermanent   = "permanent"    // a handler of the user's own refused the message for good
)

// Failure is why a try, a step or an attempt did not work: its outcome (Fail, or Unknown when it
// may have happened), and the reason that events and policies name.
type Failure struct {
	Outcome history.Outcome
	Reason  string
	Status  int // the HTTP status that was answered, 0 for none
	// Permanent says that a policy on the way already found the reason permanent.
	Permanent bool
	Err       error // nil where the reason says all
}

// Error is the reason with what is behind it.
func (f *Failure) Error() string {
	if f.Err == nil {
		return f.Reason
	}
	return f.Reason + ": " + f.Err.Error()
}

// Unwrap is what is behind the failure.
func (f *Failure) Unwrap() error { return f.Err }

// Refusal is a failure that was decided here: nothing happened elsewhere.
func Refusal(reason string, err error) *Failure {
	return &Failure{Outcome: history.Fail, Reason: reason, Err: err}
}

// Explain is the failure that an error stands for; nil for nil.
func Explain(err error) *Failure {
	if err == nil {
		return nil
	}
	var known *Failure
	if errors.As(err, &known) {
		return known
	}
	f := &Failure{Outcome: history.Fail, Reason: ReasonError, Err: err}
	if errors.Is(err, conn.ErrUnknown) {
		f.Outcome, f.Reason = history.Unknown, ReasonNoAnswer
	}
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		f.Reason = ReasonStopped
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		f.Reason = ReasonTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		f.Reason = ReasonRefused
	case broken(err):
		f.Reason = ReasonReset
	}
	return f
}

func broken(err error) bool {
	return slices.ContainsFunc([]error{
		syscall.ECONNRESET, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe,
		net.ErrClosed,
	}, func(target error) bool { return errors.Is(err, target) })
}

// ExplainStatus is the failure that an HTTP status stands for; nil below 400.
func ExplainStatus(status int) *Failure {
	if status < 400 {
		return nil
	}
	return &Failure{Outcome: history.Fail, Reason: strconv.Itoa(status), Status: status}
}

// Final says that trying again is of no use: a broken schema, a bad token and a refusal for good never
// are, nor are the reasons and statuses that a policy declares permanent.
func (f *Failure) Final(permanent []string) bool {
	return f.Permanent || f.Reason == ReasonSchema || f.Reason == ReasonAuth || f.Reason == ReasonPermanent ||
		policy.Covers(permanent, f.Reason)
}

// Spread is the n-th pause of a backoff (n from 1) with its jitter drawn from r.
func Spread(b policy.Backoff, n int, r *rand.Rand) time.Duration {
	least, most := b.Pause(n)
	if most <= least {
		return least
	}
	return least + time.Duration(r.Int64N(int64(most-least)+1))
}

// Wait returns after d, or earlier with the context's error.
func Wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
