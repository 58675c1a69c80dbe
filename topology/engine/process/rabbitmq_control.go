package process

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-sim/faultline/topology/engine"
)

// The broker is told what to do by Erlang's own means: a node that lives for one question. That is
// what rabbitmqctl does in ten times the time.

// CloseConnections is Erlang for: close all clients' connections, and say how many there were.
const CloseConnections = `Open = rabbit_networking:connections_local(),
rabbit_networking:close_connections(Open, "disconnected by faultline"),
length(Open).`

// RaiseMemoryAlarm is Erlang for: let there be less memory than is in use, wait until the alarm is
// raised, and say where the limit was.
const RaiseMemoryAlarm = `Limit = vm_memory_monitor:get_vm_memory_high_watermark(),
vm_memory_monitor:set_vm_memory_high_watermark(0.00001),
` + awaitAlarm + `
true = Await(true, 500),
Limit.`

// ClearMemoryAlarm is Erlang for the way back to a limit.
func ClearMemoryAlarm(limit string) string {
	return fmt.Sprintf(`vm_memory_monitor:set_vm_memory_high_watermark(%s),
`+awaitAlarm+`
Await(false, 500).`, limit)
}

// awaitAlarm looks each 10 ms.
const awaitAlarm = `Await = fun Again(_, 0) -> false;
Again(Want, Left) ->
  case lists:any(fun({{resource_limit, memory, _}, _}) -> true; (_) -> false end,
      rabbit_alarm:get_alarms()) of
    Want -> true;
    _ -> timer:sleep(10), Again(Want, Left - 1)
  end
end,`

// DisconnectAll has the broker close its clients' connections, as an operator does: each is told
// CONNECTION_FORCED. Those that are not open yet are not counted and stay.
func (r *RabbitMQ) DisconnectAll(ctx context.Context) (int, error) {
	said, err := r.eval(ctx, CloseConnections)
	if err != nil {
		return 0, fmt.Errorf("disconnect clients of %s: %w", r.name(), err)
	}
	n, err := strconv.Atoi(said)
	if err != nil {
		return 0, fmt.Errorf("disconnect clients of %s: it said %q", r.name(), said)
	}
	return n, nil
}

// MemoryAlarm lets the broker believe that its memory runs short: it takes nothing from publishers
// until the healing, and goes on to deliver. A restart heals it too.
func (r *RabbitMQ) MemoryAlarm(ctx context.Context) (func(context.Context) error, error) {
	c := r.child.Load()
	limit, err := r.eval(ctx, RaiseMemoryAlarm)
	if err != nil {
		return nil, fmt.Errorf("raise memory alarm of %s: %w", r.name(), err)
	}
	return func(ctx context.Context) error {
		if r.child.Load() != c {
			return nil
		}
		said, err := r.eval(ctx, ClearMemoryAlarm(limit))
		if err == nil && said != "true" {
			err = errors.New("memory is short in earnest")
		}
		if err != nil {
			return fmt.Errorf("clear memory alarm of %s: %w", r.name(), err)
		}
		return nil
	}, nil
}

// evalWithin is how long the broker may take to do what it is told.
const evalWithin = 15 * time.Second

// eval has the broker evaluate Erlang expressions and gives the last one's value, as Erlang writes
// it.
func (r *RabbitMQ) eval(ctx context.Context, expressions string) (string, error) {
	c := r.child.Load()
	if c == nil || c.hasEnded() {
		return "", errors.New("it is stopped")
	}
	ctx, cancel := context.WithTimeout(ctx, evalWithin)
	defer cancel()
	ask := command{env: r.erlang(), drop: []string{"ERL_"}}
	ask.env["FAULTLINE_ASKS"], ask.env["FAULTLINE_NODE"] = expressions, rabbitNode
	p := exec.CommandContext(ctx, "erl", "-noinput", "-boot", "no_dot_erlang", "-hidden",
		"-sname", "faultline"+rand.Text()[:8]+"@localhost", "-dist_listen", "false",
		"-erl_epmd_port", strconv.Itoa(r.ports[nodesPort]), "-eval", evaluate)
	p.Dir, p.Env, p.WaitDelay = r.cfg.Dir, append(ask.environment(os.Environ()), c.mark), askWithin
	join(p, c.group)
	said, err := p.CombinedOutput()
	text := strings.TrimSpace(string(said))
	if err != nil {
		return "", fmt.Errorf("ask node %s: %w: %s", rabbitNode, err, text)
	}
	return text, nil
}

// evaluate has the node evaluate what is in the environment, and says the value.
const evaluate = `Node = list_to_atom(os:getenv("FAULTLINE_NODE")),
{ok, Tokens, _} = erl_scan:string(os:getenv("FAULTLINE_ASKS")),
{ok, Parsed} = erl_parse:parse_exprs(Tokens),
case rpc:call(Node, erl_eval, exprs, [Parsed, []], 10000) of
  {value, Value, _} -> io:format("~0p", [Value]), halt(0);
  Other -> io:format("~0p", [Other]), halt(1)
end.`

var (
	_ engine.Disconnecter = (*RabbitMQ)(nil)
	_ engine.Pauser       = (*RabbitMQ)(nil)
	_ engine.Metered      = (*RabbitMQ)(nil)
)
