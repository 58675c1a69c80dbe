package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
)

// audit reads back, over paths without faults, what stands in the sinks and in the dead-letter
// channels, and records each message found.
func (r *run) audit(ctx context.Context) error {
	if _, err := r.env.Correlates(); err != nil {
		return err
	}
	for _, n := range r.plan.AsBuilt.Nodes {
		var err error
		switch {
		case n.Kind == topology.Store:
			err = r.auditStore(ctx, n)
		case n.Kind != topology.Broker && r.isSink(n.Name):
			r.auditNode(n.Name)
		}
		if err != nil {
			return fmt.Errorf("audit %q: %w", n.Name, err)
		}
	}
	for _, ref := range r.plan.Promise.DeadLetterChannels() {
		if err := r.auditChannel(ctx, ref); err != nil {
			return fmt.Errorf("audit channel %q: %w", ref, err)
		}
	}
	return nil
}

func (r *run) isSink(node string) bool {
	return slices.ContainsFunc(r.plan.Promise.Flows, func(f *topology.Flow) bool {
		return slices.ContainsFunc(f.Sinks, func(s topology.Sink) bool { return s.Node == node })
	})
}

func (r *run) auditStore(ctx context.Context, n *topology.Node) error {
	store, err := r.auditors.store(n)
	if err != nil {
		return err
	}
	for _, table := range tablesOf(r.plan.AsBuilt, n.Name) {
		if err := r.auditTable(ctx, n.Name, store, table); err != nil {
			return fmt.Errorf("table %q: %w", table, err)
		}
	}
	return nil
}

func (r *run) auditTable(ctx context.Context, node string, store conn.Store, table string) error {
	if recalled, _ := r.env.Correlates(); recalled {
		return r.auditBodies(ctx, node, store, table)
	}
	if lister, ok := store.(conn.Lister); ok {
		return lister.List(ctx, table, func(id string, copies int) error {
			flow, number, err := message.ParseID(id)
			if err != nil {
				return err
			}
			r.found(node, "", flow, number, copies)
			return ctx.Err()
		})
	}
	return store.Audit(ctx, table, func(m *message.Message, copies int) error {
		r.found(node, "", m.Flow, m.Number, copies)
		return ctx.Err()
	})
}

// auditBodies reads a table that a program may have written in a form of its own: a message may
// stand under several names then, so copies are added up.
func (r *run) auditBodies(ctx context.Context, node string, store conn.Store, table string) error {
	all := copies{}
	err := store.Audit(ctx, table, func(m *message.Message, n int) error {
		all[identity{m.Flow, m.Number}] += n
		return ctx.Err()
	})
	r.foundAll(node, "", all)
	return err
}

// tablesOf are the tables that handlers write in a store.
func tablesOf(t *topology.Topology, store string) []string {
	var tables []string
	for _, n := range t.Nodes {
		for _, h := range n.Handlers {
			tables = append(tables, stepTables(h.Do, store)...)
		}
	}
	slices.Sort(tables)
	return slices.Compact(tables)
}

func stepTables(steps []*topology.Step, store string) (tables []string) {
	for _, s := range steps {
		if s.Kind == topology.StoreStep && s.Target == store {
			tables = append(tables, s.Path)
		}
		tables = append(tables, stepTables(s.Do, store)...)
	}
	return tables
}

// auditNode asks a fleet or service what arrived at it as a sink.
func (r *run) auditNode(name string) {
	for _, f := range r.plan.Promise.Flows {
		tell := func(number int64, copies int) { r.found(name, "", f.Name, number, copies) }
		switch n := r.cast.Node(name).(type) {
		case simulators.Crowd:
			n.Sunk(f.Name, tell)
		case simulators.Ledger:
			n.Applied(f.Name, tell)
		}
	}
}

func (r *run) auditChannel(ctx context.Context, ref string) error {
	node := topology.ChannelNode(ref)
	broker, err := r.auditors.broker(r.plan.AsBuilt.Node(node))
	if err != nil {
		return err
	}
	all := copies{}
	err = broker.Audit(ctx, topology.ChannelName(ref), func(m *message.Message) error {
		all[identity{m.Flow, m.Number}]++
		return ctx.Err()
	})
	if errors.Is(err, conn.ErrUnsupported) {
		return nil // nothing stands in such a channel: it holds no messages to be read
	}
	r.foundAll(node, ref, all)
	return err
}

// copies are how many times each message was found.
type copies map[identity]int

// identity is a message's flow and its number there.
type identity struct {
	flow   string
	number int64
}

func (r *run) foundAll(node, channel string, all copies) {
	inOrder := slices.SortedFunc(maps.Keys(all), func(a, b identity) int {
		return cmp.Or(cmp.Compare(a.flow, b.flow), cmp.Compare(a.number, b.number))
	})
	for _, m := range inOrder {
		r.found(node, channel, m.flow, m.number, all[m])
	}
}

func (r *run) found(node, channel, flow string, number int64, copies int) {
	e := history.New(history.Found, r.recorder.Now())
	e.Node, e.Channel, e.Flow, e.Message, e.Value = node, channel, flow, number, int64(copies)
	e.Trace = r.env.Trace(flow, number)
	r.recorder.Record(&e)
}
