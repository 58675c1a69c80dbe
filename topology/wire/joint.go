package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"

	"github.com/faultline-sim/faultline/topology/wire/memory"
	"github.com/faultline-sim/faultline/topology/wire/tracked"
)

// joint is one connection in memory as its proxy has it: the dialler's end, the far end's, and the
// library's links between them, with every toxic of the proxy. It does what the library does with
// two sockets.
type joint struct {
	proxy  *proxy
	serial int64 // among the proxy's
	local  *side // the dialler's
	far    *side // the far replica's
	ends   int   // that are open; the joints' mutex guards it
}

// name is what the library knows one of its links by.
func (j *joint) name(way string) string { return strconv.FormatInt(j.serial, 10) + way }

// side is one end of a joint. The library closes it when the link that writes to it has ended, and
// the other link's reading ends with that.
type side struct {
	duplex
	joint *joint
	once  sync.Once
}

// Close closes the end, and lets the proxy forget a joint of which both ends are closed.
func (s *side) Close() error {
	err := s.duplex.Close()
	s.once.Do(func() { s.joint.proxy.joints.closed(s.joint) })
	return err
}

// WriteTo and ReadFrom keep pieces as small as the buffers that they are read into again: behind a
// toxic the library's reader loses the end of a piece that is larger than what it is asked for.

// WriteTo hands on what comes.
func (s *side) WriteTo(w io.Writer) (int64, error) {
	if direct, ok := s.duplex.(*memory.Conn); ok {
		return direct.WriteTo(w)
	}
	return io.CopyBuffer(w, struct{ io.Reader }{s.duplex}, make([]byte, memory.PieceMost))
}

// ReadFrom goes on reading, until the link that it reads from has ended, when nobody takes the bytes
// any more: toxics would wait for ever to hand on what they hold.
func (s *side) ReadFrom(r io.Reader) (int64, error) {
	buffer := make([]byte, memory.PieceMost)
	n, err := io.CopyBuffer(struct{ io.Writer }{s.duplex}, r, buffer)
	if err != nil {
		s.Close()
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, buffer)
	}
	return n, err
}

// joints are the connections in memory of one proxy. The zero value is ready.
type joints struct {
	mu   sync.Mutex
	open tracked.Set[*joint]
}

func (j *joints) add(one *joint) {
	j.mu.Lock()
	defer j.mu.Unlock()
	one.ends = 2
	j.open.Add(one)
}

func (j *joints) closed(one *joint) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if one.ends--; one.ends <= 0 {
		j.open.Remove(one)
	}
}

// close ends them all, as the library ends its own when it stops.
func (j *joints) close() {
	j.mu.Lock()
	all := j.open.All()
	j.mu.Unlock()
	for _, one := range all {
		one.far.Close()
		one.local.Close()
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
	one := &joint{proxy: p, serial: serial}
	one.local = &side{duplex: inner, joint: one}
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

// undisturbed says that the library's proxy is as the fabric has made it, but for toxics that work in
// memory too.
func (p *proxy) undisturbed(e *end) bool {
	if p.link.fabric.opt.Transport == Virtual {
		return true
	}
	behind := p.library()
	if p.socketsOnly.Load() || behind == nil || !behind.TryLock() {
		return false
	}
	defer behind.Unlock()
	return behind.Enabled && behind.Upstream == e.addr
}

// join connects to the far replica and lets the library carry what goes between the two. Where the
// far end does not listen the dialler's connection is closed, which is the library's way of
// refusing. The turn is held.
func (p *proxy) join(ctx context.Context, one *joint, e *end) {
	if p.retired || p.shut.Load() {
		one.local.duplex.Close()
		return
	}
	far, err := p.dialFar(ctx, e)
	if err != nil {
		one.local.duplex.Close()
		return
	}
	one.far = &side{duplex: far, joint: one}
	p.joints.add(one)
	if p.socketsOnly.Load() {
		one.copy() // to the proxy's own listener
		return
	}
	if p.faulted(Reset) { // else reset_peer is among the toxics, and nobody is joined
		_ = errors.Join(one.far.SetLinger(0), one.local.SetLinger(0)) // open both, so they can
	}
	api, all := p.link.fabric.server.now.Load().api, p.library().Toxics
	all.StartLink(api, one.name(upstream), one.local, one.far, stream.Upstream)
	all.StartLink(api, one.name(downstream), one.far, one.local, stream.Downstream)
}

// dialFar connects the proxy itself to the far replica.
func (p *proxy) dialFar(ctx context.Context, e *end) (duplex, error) {
	switch {
	case p.socketsOnly.Load():
		return dialTCP(ctx, p.addr)
	case e.memory == nil:
		return dialTCP(ctx, e.addr)
	}
	takes, _ := p.link.takes(p.name)
	return e.memory.DialSlow(p.address(0), takes, nil)
}

// copy carries a joint's bytes as they are.
func (j *joint) copy() {
	way := func(to, from *side) {
		_, err := io.Copy(to, from)
		if err != nil {
			_ = to.SetLinger(0) // fails only where it has ended already
		}
		to.Close()
	}
	go way(j.far, j.local)
	go way(j.local, j.far)
}

// look sees whether a connection in memory can stand what the library's proxy does to new ones:
// reset_peer asks for sockets. Whoever changes the proxy calls it then.
func (p *proxy) look(behind *toxiproxy.Proxy) {
	p.socketsOnly.Store(slices.ContainsFunc(behind.Toxics.GetToxicArray(), func(t toxics.Toxic) bool {
		return t.(*toxics.ToxicWrapper).Type == resetPeerType
	}))
}

// address is one of this machine; 0 is the proxy's own.
func (p *proxy) address(serial int64) net.Addr {
	const ephemeral, most = 32768, 28000 // where a kernel takes a dialler's port from
	if serial > 0 {
		return local(ephemeral + int(serial%most))
	}
	return local(p.port)
}
