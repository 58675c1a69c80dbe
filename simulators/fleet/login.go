package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/auth"
	"github.com/faultline-sim/faultline/simulators/conn/httpx"
	"github.com/faultline-sim/faultline/topology"
)

// loginWithin bounds one try to log in: a login service that does not answer is given up on fast.
const loginWithin = 2 * time.Second

// login is where and how the members of a fleet get their tokens. Its zero value is no login.
type login struct {
	node, method, path string
	client             *httpx.Client
	wire               string
}

// findLogin finds the handler of the login service that answers with a token.
func (f *Fleet) findLogin() error {
	if f.node.Login == "" {
		return nil
	}
	n := f.env.Topology.Node(f.node.Login)
	if n == nil {
		return fmt.Errorf("login %q is no node", f.node.Login)
	}
	for _, h := range n.Handlers {
		for s := range h.Steps() {
			if s.Kind == topology.Issue && h.HTTP != "" {
				method, path := h.Route()
				w := topology.Wire{From: f.node.Name, To: n.Name}
				f.login = login{n.Name, method, path, f.callee(n.Name), w.String()}
				return nil
			}
		}
	}
	return fmt.Errorf("login %q has no handler that issues tokens", f.node.Login)
}

// first logs a member in before it is ready, trying as its session declares until ctx ends.
func (l *login) first(ctx context.Context, m *member) error {
	if l.node == "" {
		return nil
	}
	for n := 1; ; n++ {
		err := m.logIn(ctx)
		if err == nil {
			return nil
		}
		pause := m.pause(n)
		if simulators.Wait(ctx, pause) != nil {
			return err
		}
	}
}

// logIn tries once to get a token. The try is a row without a message.
func (m *member) logIn(ctx context.Context) error {
	l := m.fleet.login
	if err := m.pace(ctx, m.fleet.logins); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, loginWithin)
	defer cancel()
	begin := m.fleet.env.Recorder.Now()
	grant, err := l.ask(limited, m.client)
	e := history.New(history.Call, m.fleet.env.Recorder.Now())
	e.Node, e.Replica, e.Step, e.Wire = m.fleet.node.Name, m.index, "login", l.wire
	e.Attempt, e.Duration, e.Outcome = 1, e.At-begin, history.Ok
	if f := simulators.Explain(err); f != nil {
		e.Outcome, e.Reason = f.Outcome, f.Reason
	}
	if m.fleet.life.Err() == nil {
		m.fleet.env.Recorder.Record(&e)
	}
	if err != nil {
		return err
	}
	m.token.renew(grant.AccessToken)
	m.record("login", l.wire)
	return nil
}

func (l *login) ask(ctx context.Context, user string) (grant auth.Grant, err error) {
	got, err := l.client.Do(ctx, l.method, l.path+"?user="+url.QueryEscape(user), nil)
	if err != nil {
		return grant, err
	}
	if f := simulators.ExplainStatus(got.Status); f != nil {
		return grant, f
	}
	if err := json.Unmarshal(got.Body, &grant); err != nil {
		return grant, fmt.Errorf("read grant: %w", err)
	}
	return grant, nil
}

// password is the member's token for its next connect. When the last one was shown to the broker
// and no connection came of it, a new one is asked for first; if that fails fast, the old one has
// to do, and the session's backoff decides when it is tried again.
func (m *member) password() string {
	if m.token.doubtful() {
		m.logIn(m.fleet.life) // a failure is a row of the history
	}
	return m.token.get()
}

// pause is the session's n-th pause before another try.
func (m *member) pause(n int) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return simulators.Spread(m.fleet.node.Session.Reconnect, n, m.rand)
}

// token is a member's token, and what is known of its worth. The zero value has none.
type token struct {
	mu    sync.Mutex
	text  string
	trial bool // shown to the broker since it was last known to be good
}

func (t *token) renew(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text, t.trial = text, false
}

func (t *token) get() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text
}

// shown says that the broker was reached and will see the token.
func (t *token) shown() { t.set(true) }

// good says that the broker took it.
func (t *token) good() { t.set(false) }

func (t *token) set(trial bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trial = trial
}

func (t *token) doubtful() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.trial || t.text == ""
}
