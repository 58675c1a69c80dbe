package wire

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"

	"github.com/faultline-sim/faultline/topology/wire/memory"
)

// pipeline carries one direction of a connection in memory through the toxics of its proxy, as the
// library's ToxicLink does between two sockets:
//
//	from > feed > stub > stub > carry > to
//
// Each stub is the library's and runs one toxic. Without toxics nothing stands between the two ends:
// carry alone moves the bytes. The library's own link cannot do that, and it keeps a stub whose part
// of the connection ends while its toxic is removed, counts wrongly from then on, and may end the
// process at the next change.
//
// Only the holder of the proxy's turn calls start, set and again.
type pipeline struct {
	from, to duplex

	stages []stage
	fed    *feeding // what sends to the first of them

	held    atomic.Bool                       // carry is to keep what it takes
	wake    chan struct{}                     // held has changed
	outputs chan (<-chan *stream.StreamChunk) // what carry is to read from now on; nil is from itself
	over    chan struct{}                     // closed when to is

	output <-chan *stream.StreamChunk // carry's; nil is from itself
	rest   [][]byte                   // what carry has taken and not yet written
}

// stage is one toxic on a pipeline. One at which the connection has ended stays: what is sent to it
// has nowhere else to go.
type stage struct {
	toxic *toxics.ToxicWrapper // nil when it has been removed
	stub  *toxics.ToxicStub
}

func (s stage) is(t *toxics.ToxicWrapper) bool { return s.toxic == t }

func newPipeline(from, to duplex) *pipeline {
	return &pipeline{
		from: from, to: to,
		wake:    make(chan struct{}, 1),
		outputs: make(chan (<-chan *stream.StreamChunk)),
		over:    make(chan struct{}),
	}
}

// start begins with toxics that are there before the first byte, and calls ended when to is closed.
func (p *pipeline) start(want []*toxics.ToxicWrapper, ended func()) {
	if len(want) > 0 {
		p.hold() // until set lets go
	}
	go p.carry(ended)
	p.set(want)
}

// set makes the pipeline's toxics those that are wanted. Bytes under way are kept, in order.
func (p *pipeline) set(want []*toxics.ToxicWrapper) {
	if slices.EqualFunc(p.stages, want, stage.is) {
		return
	}
	p.hold()
	defer p.letGo()
	for i, s := range slices.Backward(p.stages) {
		if s.toxic != nil && !slices.Contains(want, s.toxic) {
			p.remove(i)
		}
	}
	for _, t := range want {
		if !slices.ContainsFunc(p.stages, func(s stage) bool { return s.is(t) }) {
			p.add(t)
		}
	}
}

// again makes the toxics begin anew, with what has been changed about them.
func (p *pipeline) again() {
	p.hold()
	defer p.letGo()
	for _, s := range p.stages {
		if s.stub.InterruptToxic() {
			s.run()
		}
	}
}

// past is a deadline that ends a wait at once.
var past = time.Unix(1, 0)

// hold makes carry keep what it takes instead of writing it, so that a stub can be interrupted though
// the far end reads nothing.
func (p *pipeline) hold() {
	p.held.Store(true)
	_ = p.to.SetWriteDeadline(past) // fails only where writing does
	p.nudge()
}

func (p *pipeline) letGo() {
	_ = p.to.SetWriteDeadline(time.Time{})
	p.held.Store(false)
	p.nudge()
}

func (p *pipeline) nudge() {
	select {
	case p.wake <- struct{}{}:
	default: // it has been told and has not looked yet
	}
}

// add puts a toxic at the end. Where the connection has ended before it there is nothing for it to do.
func (p *pipeline) add(t *toxics.ToxicWrapper) {
	if len(p.stages) == 0 {
		p.interpose(t)
		return
	}
	last := p.stages[len(p.stages)-1]
	if !last.stub.InterruptToxic() {
		return
	}
	between := make(chan *stream.StreamChunk, t.BufferSize)
	p.place(t, toxics.NewToxicStub(between, last.stub.Output))
	last.stub.Output = between
	last.run()
}

// interpose puts the first toxic between the two ends.
func (p *pipeline) interpose(t *toxics.ToxicWrapper) {
	input := make(chan *stream.StreamChunk, t.BufferSize)
	output := make(chan *stream.StreamChunk)
	_ = p.from.SetReadDeadline(past) // fails only where reading does
	select {
	case p.outputs <- output:
	case <-p.over:
		return
	}
	_ = p.from.SetReadDeadline(time.Time{})
	p.place(t, toxics.NewToxicStub(input, output))
	p.feed(input)
}

// place begins a toxic behind all others.
func (p *pipeline) place(t *toxics.ToxicWrapper, stub *toxics.ToxicStub) {
	switch kind := t.Toxic.(type) {
	case toxics.StatefulToxic:
		stub.State = kind.NewState()
	case *toxics.ResetToxic:
		// The library does so too: the end that the toxic makes is then a reset.
		_ = errors.Join(p.from.SetLinger(0), p.to.SetLinger(0)) // fails only where they have ended
	}
	s := stage{t, stub}
	p.stages = append(p.stages, s)
	s.run()
}

// run lets a toxic work. Some end the connection and leave unread what still comes, for which its
// sender would wait for ever.
func (s stage) run() {
	go func() {
		s.stub.Run(s.toxic)
		if s.stub.Closed() {
			drain(s.stub.Input)
		}
	}()
}

// drain takes what comes until the connection's end.
func drain(input <-chan *stream.StreamChunk) {
	for range input {
	}
}

// remove takes a toxic out. What it holds, and what waits before it, goes on.
func (p *pipeline) remove(i int) {
	s := p.stages[i]
	p.stages[i].toxic = nil
	if !s.interrupt() || !p.flush(i, s.stub) {
		return
	}
	p.stages = slices.Delete(p.stages, i, i+1)
	if i > 0 {
		before := p.stages[i-1]
		before.stub.Output = s.stub.Output
		before.run()
		return
	}
	if len(p.stages) == 0 {
		select {
		case p.outputs <- nil:
			return
		case <-p.over: // what still comes is drained there
		}
	}
	p.feed(s.stub.Output)
}

// interrupt stops a toxic for good. It is false where the connection has ended there.
func (s stage) interrupt() bool {
	if !s.stub.InterruptToxic() {
		return false
	}
	cleanup, ok := s.toxic.Toxic.(toxics.CleanupToxic)
	if !ok {
		return true
	}
	cleanup.Cleanup(s.stub)
	if s.stub.Closed() {
		go drain(s.stub.Input)
		return false
	}
	return true
}

// flush stops what sends to a stub that does not run, and hands on what has been sent. It is false at
// the connection's end.
func (p *pipeline) flush(i int, stub *toxics.ToxicStub) bool {
	stopped := make(chan bool, 1)
	go func() { stopped <- p.stopBefore(i) }()
	for sending, alive := true, true; sending || !alive || len(stub.Input) > 0; {
		select {
		case alive = <-stopped:
			sending = false
		case c := <-stub.Input:
			if c == nil {
				stub.Close()
				if sending {
					<-stopped
				}
				return false
			}
			stub.Output <- c
		}
	}
	return true
}

// stopBefore stops what sends to the stub at i. It is false where that has ended.
func (p *pipeline) stopBefore(i int) bool {
	if i > 0 {
		return p.stages[i-1].stub.InterruptToxic()
	}
	_ = p.from.SetReadDeadline(past) // fails only where reading does
	<-p.fed.over
	_ = p.from.SetReadDeadline(time.Time{})
	return p.fed.stopped
}

// feeding is the reading of the near end into a channel.
type feeding struct {
	over    chan struct{} // closed when it has ended
	stopped bool          // by a deadline; else the direction has ended, and the channel is closed
}

// feed begins to read the near end.
func (p *pipeline) feed(output chan<- *stream.StreamChunk) {
	f := &feeding{over: make(chan struct{})}
	p.fed = f
	go func() {
		defer close(f.over)
		buffer := make([]byte, memory.PieceMost)
		for {
			n, err := p.from.Read(buffer)
			if n > 0 {
				output <- &stream.StreamChunk{Data: bytes.Clone(buffer[:n]), Timestamp: time.Now()}
			}
			if err != nil {
				if f.stopped = errors.Is(err, os.ErrDeadlineExceeded); !f.stopped {
					close(output)
				}
				return
			}
		}
	}()
}

// carry moves bytes to the far end until no more come, and closes it, in order, as the library does
// also where the near end was reset. It calls ended when it has.
func (p *pipeline) carry(ended func()) {
	var err error
	for err == nil {
		if p.output == nil {
			err = p.direct()
		} else {
			err = p.follow()
		}
	}
	p.to.Close()
	close(p.over)
	ended()
	if p.output == nil {
		p.discard()
	} else {
		drain(p.output)
	}
}

// discard reads what the near end still sends, so that its sender comes to its own end.
func (p *pipeline) discard() {
	for {
		_, err := io.Copy(io.Discard, struct{ io.Reader }{p.from})
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		_ = p.from.SetReadDeadline(time.Time{}) // of a change that came too late
	}
}

// direct moves bytes from end to end. It is nil when something else is to be done, io.EOF at the
// direction's end.
func (p *pipeline) direct() error {
	err := p.pump()
	if err == nil {
		return io.EOF
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	select {
	case p.output = <-p.outputs:
	case <-p.wake:
	}
	return nil
}

// pump moves bytes from end to end until a deadline or an end, which is nil.
func (p *pipeline) pump() error {
	if err := p.write(); err != nil {
		return err
	}
	if near, ok := p.from.(*memory.Conn); ok {
		_, err := near.WriteTo(p.to)
		return err
	}
	buffer := make([]byte, memory.PieceMost)
	for {
		n, err := p.from.Read(buffer)
		if n > 0 {
			p.rest = append(p.rest, buffer[:n])
		}
		if failed := p.write(); failed != nil {
			return failed
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// follow moves what comes out of the last stub. It is nil when something else is to be read, io.EOF at
// the direction's end.
func (p *pipeline) follow() error {
	for open := true; open || len(p.rest) > 0; {
		if !p.held.Load() {
			if err := p.write(); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				return err
			}
		}
		from := p.output
		if !open {
			from = nil
			if len(p.rest) == 0 {
				break
			}
		}
		select {
		case c := <-from:
			if open = c != nil; open {
				p.rest = append(p.rest, c.Data)
			}
		case p.output = <-p.outputs:
			return nil
		case <-p.wake:
		}
	}
	return io.EOF
}

// write writes what has been taken.
func (p *pipeline) write() error {
	for len(p.rest) > 0 {
		n, err := p.to.Write(p.rest[0])
		if p.rest[0] = p.rest[0][n:]; len(p.rest[0]) == 0 {
			p.rest = p.rest[1:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}
