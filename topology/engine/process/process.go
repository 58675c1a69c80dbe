// Package process runs brokers and stores as child processes, by programs found on PATH.
//
// It serves the run step of load → plan → run → check → report, behind the same interface as the
// engines in this process, where a protocol has no broker that could be embedded. It promises that
// all a program writes is below its engine's folder, that it listens on 127.0.0.1 alone at ports
// that stay the same over a restart, that Close leaves no process and no file, and that no program
// outlives this process, however that ends. It asks whether a program answers by the fabric and
// imports no client, no simulator, no scenario. Child processes need a Unix.
package process

import (
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/topology/engine"
)

// maker is how the engine of a protocol is made, and the program that it takes.
type maker struct {
	program program
	make    func(*Engine) (engine.Engine, error)
}

// program is what must be installed.
type program struct {
	name string // on PATH
	from string // what brings it, to be read after "install"
}

var (
	rabbitmqServer = program{"rabbitmq-server", "the Debian package rabbitmq-server"}
	motoServer     = program{"moto_server", "moto[server] from PyPI"}
)

func makers() map[string]maker {
	return map[string]maker{
		"amqp":    {rabbitmqServer, newRabbitMQ},
		"kinesis": {motoServer, newMoto},
		"s3":      {motoServer, newMoto},
		"sns":     {motoServer, newMoto},
		"sqs":     {motoServer, newMoto},
	}
}

// Protocols are those that there is a program for, sorted.
func Protocols() []string { return slices.Sorted(maps.Keys(makers())) }

// Find says why the engine of a protocol cannot be started on this machine: a Problem of
// ErrNoProgram. It is nil where the program is found.
func Find(protocol string) error {
	m, ok := makers()[protocol]
	if !ok {
		return fmt.Errorf("no program speaks %q; there are %s", protocol,
			strings.Join(Protocols(), ", "))
	}
	_, err := m.program.find()
	return err
}

func (p program) find() (path string, err error) {
	path, err = exec.LookPath(p.name)
	if err != nil {
		return "", missing(p)
	}
	return path, nil
}

// New prepares the engine for the protocol of cfg's node; nothing is written or started before its
// Start. All of them are engine.Pauser and engine.Metered; RabbitMQ is *RabbitMQ.
func New(cfg engine.Config) (engine.Engine, error) {
	m, ok := makers()[cfg.Node.Protocol]
	if !ok {
		return nil, fmt.Errorf("choose engine for %q: no program speaks %q; there are %s",
			cfg.Node.Name, cfg.Node.Protocol, strings.Join(Protocols(), ", "))
	}
	if cfg.Authenticate != nil {
		return nil, fmt.Errorf("make %s engine %q: it cannot check passwords",
			cfg.Node.Protocol, cfg.Node.Name)
	}
	return m.make(newEngine(cfg, m.program))
}
