package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/faultline-sim/faultline/simulators/conn"
)

// trail notes whether a request was given to a connection. It is what tells an answer that never
// came from a request that was never made: the library's errors do not.
type trail struct {
	once sync.Once
	sent chan struct{} // closed when it was
}

type trailKey struct{}

// follow is a context whose next call leaves a trail.
func follow(ctx context.Context) (context.Context, *trail) {
	t := &trail{sent: make(chan struct{})}
	return context.WithValue(ctx, trailKey{}, t), t
}

func (t *trail) wasSent() bool {
	select {
	case <-t.sent:
		return true
	default:
		return false
	}
}

// trails is the library's observer of calls.
type trails struct{}

func (trails) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.OutPayload); !ok {
		return
	}
	if t, ok := ctx.Value(trailKey{}).(*trail); ok {
		t.once.Do(func() { close(t.sent) })
	}
}

func (trails) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (trails) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (trails) HandleConn(context.Context, stats.ConnStats)                       {}

// isRefusal says that an answer stays the same however often it is asked for.
func isRefusal(err error) bool {
	switch status.Code(err) {
	case codes.NotFound, codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated,
		codes.FailedPrecondition, codes.OutOfRange, codes.Unimplemented:
		return true
	}
	return false
}

// judge marks the error of a publish: refused, unknown, or certainly not written.
func (c *Client) judge(err error, t *trail) error {
	switch code := status.Code(err); {
	case code == codes.NotFound:
		return fmt.Errorf("%s: %w: no such topic, declare the channel: %w",
			c.cfg.Dialer.Wire(), conn.ErrRefused, err)
	case isRefusal(err):
		return fmt.Errorf("%s: %w: %w", c.cfg.Dialer.Wire(), conn.ErrRefused, err)
	case code == codes.ResourceExhausted, code == codes.Aborted, !t.wasSent():
		return err
	}
	return fmt.Errorf("%w: %w", conn.ErrUnknown, err)
}

// insist makes a call that may be made twice until it is answered, each try bounded.
func (c *Client) insist(ctx context.Context, call func(context.Context) error) error {
	for n := 1; ; n++ {
		err := c.bounded(ctx, call)
		if err == nil || status.Code(err) == codes.AlreadyExists || isRefusal(err) {
			return err
		}
		if wait := c.life.PauseBefore(ctx, n); wait != nil {
			return errors.Join(wait, err)
		}
	}
}

func (c *Client) bounded(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	return call(ctx)
}
