package container

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/process"
)

// rabbitMQ is a broker of one node, with its user guest and no plugins.
type rabbitMQ struct{ *Engine }

// rabbitData is where a broker keeps its queues.
const rabbitData = "/var/lib/rabbitmq"

// rabbitConf lets guest in from everywhere: what dials is Docker's proxy. Connections that clients
// leave without a word are no news here.
const rabbitConf = `loopback_users.guest = false
log.console = true
log.console.level = warning
log.connection.level = error
`

// A broker closes its doors to publishers when less than the limit is left of a small disk, and
// breaks where nothing is: a full disk leaves it half of that.
const rabbitDiskLimit = 32 << 20

// newRabbitMQ is a RabbitMQ server. The node's name is in its data, so it is fixed; two schedulers
// that do not wait busily leave the machine to others.
func newRabbitMQ(e *Engine) (engine.Engine, error) {
	r := &rabbitMQ{e}
	e.product = product{
		port: 5672, data: rabbitData, signal: "SIGTERM", asked: "a connection as guest",
		spare: rabbitDiskLimit / 2,
		dress: func(*member) dress {
			conf := rabbitConf
			if e.cfg.Disk > 0 {
				conf += fmt.Sprintf("disk_free_limit.absolute = %d\n", rabbitDiskLimit)
			}
			return dress{
				env: map[string]string{
					"RABBITMQ_NODENAME":                   "rabbit@localhost",
					"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
				},
				files: map[string]string{
					"/etc/rabbitmq/conf.d/90-faultline.conf": conf,
					"/etc/rabbitmq/enabled_plugins":          "[].\n",
				},
			}
		},
		probe: e.probing(func(_ context.Context, c net.Conn) error {
			_, err := process.OpenAMQP(c)
			return err
		}),
	}
	return r, nil
}

// MemoryAlarm lets the broker believe that its memory runs short: it takes nothing from publishers
// until the healing, and goes on to deliver. A restart heals it too.
func (r *rabbitMQ) MemoryAlarm(ctx context.Context) (func(context.Context) error, error) {
	limit, err := r.eval(ctx, process.RaiseMemoryAlarm)
	if err != nil {
		return nil, fmt.Errorf("raise memory alarm of %s: %w", r.info.Name, err)
	}
	return func(ctx context.Context) error {
		said, err := r.eval(ctx, process.ClearMemoryAlarm(limit))
		if errors.Is(err, errEnded) {
			return nil
		}
		if err == nil && said != "true" {
			err = errors.New("memory is short in earnest")
		}
		if err != nil {
			return fmt.Errorf("clear memory alarm of %s: %w", r.info.Name, err)
		}
		return nil
	}, nil
}

// eval has the broker evaluate Erlang expressions and gives the last one's value.
func (r *rabbitMQ) eval(ctx context.Context, expressions string) (said string, err error) {
	if !r.running {
		return "", errEnded
	}
	c := r.members[0].made.Load()
	said, err = c.run(ctx, "rabbitmqctl", "--silent", "eval", expressions)
	return strings.TrimSpace(said), err
}
