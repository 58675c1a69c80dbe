package process

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/faultline-sim/faultline/topology/engine"
)

// RabbitMQ is a broker of one node, with its user guest and no plugins. It implements
// engine.Disconnecter too.
type RabbitMQ struct {
	*Engine
	cookie string // lets Erlang nodes speak with it
}

// The broker's Erlang node. Its name is in its data; many of the same name live side by side, since
// none finds another.
const rabbitNode = "rabbit@localhost"

// What a broker's ports are for, in the engine's order. Nobody listens at the last: it stands where
// Erlang nodes look for the daemon that knows their ports (epmd), which would outlive them. Ours
// are told each other's port instead.
const (
	clientsPort = iota
	nodesPort
	nobodysPort
	rabbitPorts
)

func newRabbitMQ(e *Engine) (engine.Engine, error) {
	r := &RabbitMQ{e, rand.Text()}
	e.product = product{
		ports: rabbitPorts, asked: "a connection as guest",
		files:   r.files,
		command: r.command,
		probe: func(c net.Conn) error {
			version, err := OpenAMQP(c)
			e.version.Store(&version)
			return err
		},
	}
	return r, nil
}

// rabbitConf lets guest in from everywhere: what dials is a proxy. Connections that clients leave
// without a word are no news here.
const rabbitConf = `listeners.tcp.default = 127.0.0.1:%d
loopback_users.guest = false
log.file = false
log.console = true
log.console.level = warning
log.connection.level = error
`

func (r *RabbitMQ) files() map[string]string {
	return map[string]string{
		confDir + "/rabbitmq.conf":     fmt.Sprintf(rabbitConf, r.ports[clientsPort]),
		confDir + "/rabbitmq-env.conf": "",
		confDir + "/enabled_plugins":   "[].\n",
		homeDir + "/.erlang.cookie":    r.cookie,
	}
}

// command runs the broker without the process that a service's scripts put before it: signals reach
// it. Two schedulers that do not wait busily leave the machine to others.
//
// Source: rabbitmq-env(5) and the comments of the script rabbitmq-server; erl(1).
func (r *RabbitMQ) command(path string) command {
	env := r.erlang()
	for name, value := range map[string]string{
		"RABBITMQ_NODENAME":             rabbitNode,
		"RABBITMQ_CONF_ENV_FILE":        r.at(confDir, "rabbitmq-env.conf"),
		"RABBITMQ_CONFIG_FILE":          r.at(confDir, "rabbitmq.conf"),
		"RABBITMQ_CONFIG_FILES":         r.at(confDir, "conf.d"),
		"RABBITMQ_ADVANCED_CONFIG_FILE": r.at(confDir, "advanced.config"),
		"RABBITMQ_ENABLED_PLUGINS_FILE": r.at(confDir, "enabled_plugins"),
		"RABBITMQ_MNESIA_BASE":          r.at(dataDir),
		"RABBITMQ_MNESIA_DIR":           r.at(dataDir, "node"),
		"RABBITMQ_GENERATED_CONFIG_DIR": r.at(tempDir, "config"),
		"RABBITMQ_SCHEMA_DIR":           r.at(tempDir, "schema"),
		"RABBITMQ_LOG_BASE":             r.at(tempDir, "log"),
		"RABBITMQ_LOGS":                 "-",
		"RABBITMQ_PID_FILE":             r.at(tempDir, "pid"),
		"RUNNING_UNDER_SYSTEMD":         "true", // the script then becomes the broker
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": fmt.Sprintf("-sname %s -erl_epmd_port %d "+
			"-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none", rabbitNode,
			r.ports[nodesPort]),
	} {
		env[name] = value
	}
	return command{
		path: withoutWrapper(path), env: env,
		drop: []string{"RABBITMQ_", "ERL_", "NOTIFY_SOCKET"},
	}
}

// erlang is what every Erlang node of ours runs with, those too that the broker starts by itself.
func (r *RabbitMQ) erlang() map[string]string {
	return map[string]string{
		"HOME":                   r.at(homeDir),
		"TMPDIR":                 r.at(tempDir),
		"ERL_FLAGS":              "-start_epmd false",
		"ERL_EPMD_ADDRESS":       "127.0.0.1",
		"ERL_EPMD_PORT":          strconv.Itoa(r.ports[nobodysPort]),
		"ERL_CRASH_DUMP_SECONDS": "0", // no dump
	}
}

// withoutWrapper is the broker's own script. What Linux distributions have in its place on PATH
// becomes the user rabbitmq first, and writes where that one may.
func withoutWrapper(path string) string {
	const own = "/usr/lib/rabbitmq/bin/rabbitmq-server"
	if dir := filepath.Dir(path); dir != "/usr/sbin" && dir != "/usr/bin" && dir != "/sbin" {
		return path
	}
	if _, err := os.Stat(own); err != nil {
		return path
	}
	return own
}
