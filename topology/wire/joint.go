package wire

import (
	"context"
	"net"
	"sync"
	"syscall"

	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"

	"github.com/faultline-sim/faultline/topology/wire/memory"
	"github.com/faultline-sim/faultline/topology/wire/tracked"
)

// joint is one connection in memory as its proxy has it: the dialler's end, the far end's, and a
// pipeline each way with every toxic of the proxy.
type joint struct {
	local, far duplex
	ways       [stream.NumDirections]*pipeline
	carrying   int // pipelines that are not over; the joints' mutex guards it
}

// joints are the connections in memory of one proxy. The zero value is ready.
type joints struct {
	mu   sync.Mutex
	open tracked.Set[*joint]
}

// add begins to carry what goes over a joint.
func (j *joints) add(one *joint, want wanted) {
	one.ways[stream.Upstream] = newPipeline(one.local, one.far)
	one.ways[stream.Downstream] = newPipeline(one.far, one.local)
	one.carrying = len(one.ways)
	j.mu.Lock()
	j.open.Add(one)
	j.mu.Unlock()
	for way, p := range one.ways {
		p.start(want[way], func() { j.ended(one) })
	}
}

// ended forgets a joint when neither way carries anything any more.
func (j *joints) ended(one *joint) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if one.carrying--; one.carrying == 0 {
		j.open.Remove(one)
	}
}

func (j *joints) all() []*joint {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.open.All()
}

// close ends them all, as the library ends its own when it stops.
func (j *joints) close() {
	for _, one := range j.all() {
		one.far.Close()
		one.local.Close()
	}
}

// wanted are the toxics that a proxy has, in their order, by direction.
type wanted [stream.NumDirections][]*toxics.ToxicWrapper

func (p *proxy) wanted() (all wanted) {
	for _, t := range p.library().Toxics.GetToxicArray() {
		one := t.(*toxics.ToxicWrapper)
		all[one.Direction] = append(all[one.Direction], one)
	}
	return all
}

// refit makes the toxics of connections in memory those of the library's proxy, for the holder of
// the turn.
func (p *proxy) refit() {
	want := p.wanted()
	for _, one := range p.joints.all() {
		for way, pipe := range one.ways {
			pipe.set(want[way])
		}
	}
}

// again makes the toxics of connections in memory begin anew, for the holder of the turn.
func (p *proxy) again() {
	for _, one := range p.joints.all() {
		for _, pipe := range one.ways {
			pipe.again()
		}
	}
}

// dialMemory connects in memory. It is false where only the proxy's own listener knows what is to
// happen to a connection: somebody has changed the proxy through the HTTP API.
func (p *proxy) dialMemory(ctx context.Context, e *end) (duplex, bool, error) {
	if p.shut.Load() {
		return nil, true, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	if !p.undisturbed(e) {
		return nil, false, nil
	}
	serial := p.serial.Add(1)
	_, back := p.link.takes(p.name)
	near, inner := memory.SlowPair(p.address(serial), p.address(0), nil, back)
	one := &joint{local: inner}
	select {
	case p.turn <- struct{}{}:
		p.join(ctx, one, e)
		<-p.turn
	default: // somebody changes the proxy; what is sent meanwhile waits, as in a socket's buffer
		begun := p.live.background(func() {
			p.turn <- struct{}{}
			p.join(context.WithoutCancel(ctx), one, e)
			<-p.turn
		})
		if !begun {
			return nil, true, errClosed
		}
	}
	return near, true, nil
}

// undisturbed says that the library's proxy is as the fabric has made it, but for its toxics.
func (p *proxy) undisturbed(e *end) bool {
	if p.link.fabric.opt.Transport == Virtual {
		return true
	}
	behind := p.library()
	if behind == nil || !behind.TryLock() {
		return false
	}
	defer behind.Unlock()
	return behind.Enabled && behind.Upstream == e.addr
}

// join connects to the far replica and carries what goes between the two. Where the far end does not
// listen the dialler's connection is closed, which is the library's way of refusing. The turn is held.
func (p *proxy) join(ctx context.Context, one *joint, e *end) {
	if p.retired || p.shut.Load() {
		one.local.Close()
		return
	}
	far, err := p.dialFar(ctx, e)
	if err != nil {
		one.local.Close()
		return
	}
	one.far = far
	p.joints.add(one, p.wanted())
}

// dialFar connects the proxy itself to the far replica.
func (p *proxy) dialFar(ctx context.Context, e *end) (duplex, error) {
	if e.memory == nil {
		return dialTCP(ctx, e.addr)
	}
	takes, _ := p.link.takes(p.name)
	return e.memory.DialSlow(p.address(0), takes, nil)
}

// address is one of this machine; 0 is the proxy's own.
func (p *proxy) address(serial int64) net.Addr {
	const ephemeral, most = 32768, 28000 // where a kernel takes a dialler's port from
	if serial > 0 {
		return local(ephemeral + int(serial%most))
	}
	return local(p.port)
}
