package scenariotest

import (
	"context"
	"slices"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/spec"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/scenarios/runner"
)

// Option changes a run.
type Option func(*settings)

// settings are what the options said.
type settings struct {
	set      []string
	engines  string // "auto", "embedded" or "containers"; "" is auto
	images   string // a file, "" for none
	seed     *uint64
	out      string
	unknown  []string
	time     string // scenarios.AutoTime, VirtualTime or RealTime; "" is auto
	handlers []handlerCode
	process  []processCode
	test     string // the test's full name, "" outside tests
	progress func(runner.Progress)
}

// handlerCode is a function in the place of a handler.
type handlerCode struct {
	name string
	do   func(context.Context, Message) error
}

// processCode is a function in the place of a node.
type processCode struct {
	name       string
	do         func(context.Context, Env) error
	dialsByEnv bool
}

func newSettings(options []Option) *settings {
	s := &settings{}
	for _, o := range options {
		o(s)
	}
	return s
}

// Set changes one field of the topology for this run, "worker1.replicas=3", as --set does on the
// command line. It may be given many times; later ones win.
func Set(field string) Option { return func(s *settings) { s.set = append(s.set, field) } }

// Engines is what runs behind brokers and stores: "embedded", "containers" or "auto", as --engines
// does on the command line. Containers need a Docker daemon; without one the test fails, and its
// error says that the environment did.
func Engines(choice string) Option { return func(s *settings) { s.engines = choice } }

// Images is a file that says where the images of containers come from, as --images does on the
// command line.
func Images(file string) Option { return func(s *settings) { s.images = file } }

// Virtual runs the scenario in virtual time, or fails the test with the reason why that cannot be.
// The clock stands still while anything works and jumps to the next timer when all wait, so that a
// run takes as long as its work and one seed gives one history (but for go test -race, which draws
// the order of goroutines).
//
// Without Virtual or RealTime that is so wherever every node can: embedded engines, simulated nodes,
// a Handler, a Process that DialsByEnv. The Result's Report.Clock says which it was and why.
//
// The test's own functions run inside of that time. They wait as they please for timers, for each
// other and for connections that Env.Dial gave them. What they wait for outside holds the clock: a
// socket of their own; a channel that the test made outside of the function (sync.WaitGroup and
// sync.Cond too); a sync.Mutex that somebody holds while he waits. A wait of milliseconds takes no
// virtual time; one of two seconds ends the run, and the test says who waits. A channel made inside
// must not be used by the test outside, and a goroutine that is begun inside must end with its
// function.
func Virtual() Option { return func(s *settings) { s.time = scenarios.VirtualTime } }

// RealTime runs the scenario by the machine's clock, as --time real does on the command line. It is
// for code whose waits virtual time cannot see; see Virtual.
func RealTime() Option { return func(s *settings) { s.time = scenarios.RealTime } }

// Seed is the seed of all random choices, in place of the scenario's own.
func Seed(n uint64) Option { return func(s *settings) { s.seed = &n } }

// Out is the folder that the run's folder is made in, in place of the test's artifact folder, which
// is kept only with go test -artifacts.
func Out(dir string) Option { return func(s *settings) { s.out = dir } }

// AllowUnknown names verdicts that may be unknown: whole ("retry[worker1.records]") or by their
// assertion ("trace"). It is for what cannot be seen of a Process from outside; invalid still
// fails.
func AllowUnknown(verdicts ...string) Option {
	return func(s *settings) { s.unknown = append(s.unknown, verdicts...) }
}

// Handler does the work of a simulated service's handler by a function of the test's own: in place
// of the handler's first work step, or before its first step where it has none. All else, what is
// received, stored, called, retried and dead-lettered, stays as the topology declares.
//
// The name is the node's and the handler's, "worker1.records"; the node's alone will do where it
// has one handler. The function is called from many goroutines, once an attempt. Its error fails
// the attempt, so that declared retries, breakers and dead-lettering apply; an error made by
// Permanent is not tried again; a panic fails the attempt with the reason "panic" and the run goes
// on. It must return when ctx ends: with the declared timeout, a crash of its replica, or the run.
func Handler(name string, do func(ctx context.Context, m Message) error) Option {
	return func(s *settings) {
		s.handlers = append(s.handlers, handlerCode{name, do})
	}
}

// Process runs a function of the test's own in place of a simulated service or cloud, once for each
// replica, with connections of its own to its neighbours in env. It runs until ctx ends; a stop or
// restart in the timeline ends its ctx and waits, a kill resets all its connections first. One that
// returns by itself fails the test. See Env for what it is given and Evidence for how it is judged.
//
// A run with a Process is one in real time, in which its clients may dial by themselves, unless the
// option DialsByEnv says that they do not.
func Process(
	node string, do func(ctx context.Context, env Env) error, options ...ProcessOption,
) Option {
	return func(s *settings) {
		p := processCode{name: node, do: do}
		for _, o := range options {
			o(&p)
		}
		s.process = append(s.process, p)
	}
}

// ProcessOption says something about a Process.
type ProcessOption func(*processCode)

// DialsByEnv says that a Process opens connections by Env.Dial alone, and listens by Env.Listen, so
// that it can live in virtual time:
//
//	scenariotest.Process("worker", work, scenariotest.DialsByEnv)
//
// Where it dials by itself after all nobody answers, and the test says which neighbours it did not
// reach by Env.Dial.
func DialsByEnv(p *processCode) { p.dialsByEnv = true }

// processes are the nodes in whose place a Process runs that dials by its environment, or does not
// say so.
func (s *settings) processes(dialsByEnv bool) (nodes []string) {
	for _, p := range s.process {
		if p.dialsByEnv == dialsByEnv {
			nodes = append(nodes, p.name)
		}
	}
	return nodes
}

func (s *settings) ownCode() bool { return len(s.handlers)+len(s.process) > 0 }

// allowed are the differences without those that are only unknown and may be.
func (s *settings) allowed(r Result) []spec.Difference {
	may := func(d spec.Difference) bool {
		return slices.ContainsFunc(r.Report.Verdicts, func(v assertions.Verdict) bool {
			return v.Name == d.Name && v.Value == assertions.Unknown &&
				(slices.Contains(s.unknown, v.Name) || slices.Contains(s.unknown, v.Property))
		})
	}
	return slices.DeleteFunc(r.Differences, may)
}
