package scenariotest

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/diag"
)

// leaveWithin is how long the test's own functions may take to return when the run is over.
const leaveWithin = 3 * time.Second

// code is the test's own code in one run, and what is to be said about it.
type code struct {
	given   simulators.Code
	awaited atomic.Bool

	mu      sync.Mutex
	calls   map[string]int // functions that run now, by name
	idle    chan struct{}  // closed when none runs; nil where nobody waits
	errs    []error
	failing map[string]*failures
	dialing map[string]*uses // by node, of processes that dial by their environment
}

// failures are the attempts of one handler that failed.
type failures struct {
	n     int
	first error
}

// code finds what each function stands for. All names that stand for nothing are one error.
func (s *settings) code(t *topology.Topology) (*code, error) {
	c := &code{
		given: simulators.Code{
			Handlers:  map[simulators.HandlerName]simulators.HandlerFunc{},
			Processes: map[string]simulators.ProcessFunc{},
		},
		calls: map[string]int{}, failing: map[string]*failures{}, dialing: map[string]*uses{},
	}
	c.given.Await = c.await
	var wrong diag.List
	for _, h := range s.handlers {
		name, err := handler(t, h.name)
		if err == nil && c.given.Handlers[name] != nil {
			err = errTwice
		}
		if err != nil {
			wrong.Add(diag.Position{File: "scenariotest.Handler"}, "unknown-handler", "%q: %v", h.name, err)
			continue
		}
		c.given.Handlers[name] = c.handlerFunc(h.name, h.do)
	}
	for _, p := range s.process {
		name, err := processNode(t, p.name)
		if err == nil && c.given.Processes[name] != nil {
			err = errTwice
		}
		if err != nil {
			wrong.Add(diag.Position{File: "scenariotest.Process"}, "unknown-node", "%q: %v", p.name, err)
			continue
		}
		uses := newUses()
		c.given.Processes[name] = c.processFunc(name, p.do, uses)
		if p.dialsByEnv {
			c.dialing[name] = uses
		}
	}
	for name := range c.given.Handlers {
		if c.given.Processes[name.Node] != nil {
			wrong.Add(diag.Position{File: "scenariotest.Handler"}, "unknown-handler",
				"%q: a process runs in the place of %q, it has no handlers", name.Handler, name.Node)
		}
	}
	if !wrong.Empty() {
		return nil, &MistakesError{wrong}
	}
	return c, nil
}

func (c *code) simulators() *simulators.Code { return &c.given }

// begun notes that a function runs; ended follows.
func (c *code) begun(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[name]++
}

func (c *code) ended(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls[name]--; c.calls[name] == 0 {
		delete(c.calls, name)
	}
	if len(c.calls) == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// failed notes an attempt that failed.
func (c *code) failed(name string, m *message.Message, attempt int, err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.failing[name]
	if f == nil {
		f = &failures{first: fmt.Errorf("%s, attempt %d: %w", m.ID(), attempt, err)}
		c.failing[name] = f
	}
	f.n++
}

// fault notes what the code did wrong.
func (c *code) fault(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errs = append(c.errs, err)
}

// await waits once for functions that still run, by the clock that it is called in: the channel that
// it waits for, and that the last function closes, must be made within the run's time.
func (c *code) await() {
	if c.awaited.Swap(true) {
		return
	}
	timer := time.NewTimer(leaveWithin)
	defer timer.Stop()
	select {
	case <-c.quiet():
	case <-timer.C:
	}
}

// faults is all that the code did wrong, when the run is over. Where it did not come so far as to tell
// functions to return, they are not blamed for going on.
func (c *code) faults(told bool) []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	errs := c.errs
	if !told {
		return errs
	}
	for _, name := range slices.Sorted(maps.Keys(c.calls)) {
		errs = append(errs, fmt.Errorf("%q did not return within %s after its context ended: "+
			"%d calls are left", name, leaveWithin, c.calls[name]))
	}
	return errs
}

// quiet is closed when no function runs.
func (c *code) quiet() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	idle := make(chan struct{})
	if len(c.calls) == 0 {
		close(idle)
		return idle
	}
	c.idle = idle
	return idle
}

// notes are the handlers whose attempts failed, with the first failure of each, and in virtual time
// the processes that went round what they were given.
func (c *code) notes(virtual bool) (lines []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(c.failing)) {
		f := c.failing[name]
		lines = append(lines, fmt.Sprintf("handler %q: %d attempts failed, the first at %v",
			name, f.n, f.first))
	}
	for _, node := range slices.Sorted(maps.Keys(c.dialing)) {
		if text := c.dialing[node].told(node); virtual && text != "" {
			lines = append(lines, text)
		}
	}
	return lines
}
