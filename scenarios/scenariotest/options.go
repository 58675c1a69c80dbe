package scenariotest

import (
	"context"
	"slices"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/spec"
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
	handlers []named[func(context.Context, Message) error]
	process  []named[func(context.Context, Env) error]
	test     string // the test's full name, "" outside tests
	progress func(runner.Progress)
}

// named is a function and the name it was given for.
type named[F any] struct {
	name string
	do   F
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
		s.handlers = append(s.handlers, named[func(context.Context, Message) error]{name, do})
	}
}

// Process runs a function of the test's own in place of a simulated service or cloud, once for each
// replica, with connections of its own to its neighbours in env. It runs until ctx ends; a stop or
// restart in the timeline ends its ctx and waits, a kill resets all its connections first. One that
// returns by itself fails the test. See Env for what it is given and Evidence for how it is judged.
func Process(node string, do func(ctx context.Context, env Env) error) Option {
	return func(s *settings) {
		s.process = append(s.process, named[func(context.Context, Env) error]{node, do})
	}
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
