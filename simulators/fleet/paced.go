package fleet

import (
	"context"
	"net"
	"strings"

	"golang.org/x/time/rate"

	"github.com/faultline-sim/faultline/topology/wire"
)

// paced is a member's way to its broker. Once the member has been ready, it begins a connection
// only when the fleet's connect rate allows one more, so that an outage ends in no herd.
type paced struct {
	wire.Dialer
	member  *member
	dialled func() // told of each connection; nil is allowed
}

// Dial connects when the fleet's rate allows it.
func (p *paced) Dial(ctx context.Context) (net.Conn, error) {
	if err := p.member.pace(ctx, p.member.fleet.dials); err != nil {
		return nil, err
	}
	return p.tell(p.Dialer.Dial(ctx))
}

// DialAddr connects when the fleet's rate allows it.
func (p *paced) DialAddr(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := p.member.pace(ctx, p.member.fleet.dials); err != nil {
		return nil, err
	}
	return p.tell(p.Dialer.DialAddr(ctx, network, addr))
}

func (p *paced) tell(c net.Conn, err error) (net.Conn, error) {
	if err == nil && p.dialled != nil {
		p.dialled()
	}
	return c, err
}

// pace waits until a limit lets the member go on, once it has been ready: a start is not paced.
func (m *member) pace(ctx context.Context, limiter *rate.Limiter) error {
	if limiter == nil || !m.ready.Load() {
		return nil
	}
	return limiter.Wait(ctx)
}

// fill puts id in the place of each segment that begins with a colon.
func fill(name, id string) string {
	if !strings.Contains(name, ":") {
		return name
	}
	segments := strings.Split(name, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, ":") {
			segments[i] = id
		}
	}
	return strings.Join(segments, "/")
}
