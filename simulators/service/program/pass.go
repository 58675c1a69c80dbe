package program

import (
	"sync"
	"time"

	"github.com/faultline-sim/faultline/simulators/auth"
	"github.com/faultline-sim/faultline/simulators/message"
)

// pass is the token that an actor shows of its own, where a message carries none: programs have
// credentials, they need not log in. The zero value is ready.
type pass struct {
	mu    sync.Mutex
	text  string
	until time.Time
}

// introduce puts the actor's own token on a message for a service that asks for one.
func (a *Actor) introduce(s *step, m *message.Message) (err error) {
	if s.issuer == "" || m.Token != "" {
		return nil
	}
	now := time.Now()
	a.pass.mu.Lock()
	defer a.pass.mu.Unlock()
	if !now.Before(a.pass.until) {
		a.pass.text, err = a.Authority.Issue(s.issuer, a.Client)
		a.pass.until = now.Add(auth.Life / 2)
	}
	m.Token = a.pass.text
	return err
}
