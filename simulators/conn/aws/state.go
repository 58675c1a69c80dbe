package aws

import (
	"context"
	"errors"

	"github.com/aws/smithy-go"
)

// note learns from a request's outcome whether the service can be reached. A server may close each
// connection behind its answer, so connections tell nothing. A request whose time was over tells
// nothing either.
func (l *Link) note(ctx context.Context, err error) {
	var answer smithy.APIError
	switch {
	case err == nil, errors.As(err, &answer):
		l.reached(true)
	case ctx.Err() == nil:
		l.reached(false)
	}
}

// reached tells the owner of a change. A service that was lost is sought again.
func (l *Link) reached(up bool) {
	l.states.Lock()
	defer l.states.Unlock()
	if l.up == up || up && l.life.Err() != nil {
		return
	}
	l.up = up
	if l.cfg.OnState != nil {
		l.cfg.OnState(map[bool]string{true: "connect", false: "disconnect"}[up])
	}
	if probe := l.probe.Load(); !up && probe != nil {
		l.life.Go(func() { l.seek(*probe) })
	}
}

// seek asks until the service has been reached, by this or by another request.
func (l *Link) seek(probe func(context.Context) error) {
	for n := 1; !l.isUp(); n++ {
		if l.Pause(l.life, n) != nil {
			return
		}
		_ = l.Try(l.life, ProbeTimeout, probe) // its outcome is noted
	}
}

func (l *Link) isUp() bool {
	l.states.Lock()
	defer l.states.Unlock()
	return l.up
}
