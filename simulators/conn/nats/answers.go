package nats

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/faultline-sim/faultline/simulators/conn"
)

// answers are those that a link waits for without holding anybody up: that the server has an
// acknowledgement. Source: the JetStream documentation, "Consumers" (an acknowledgement with a reply
// subject is answered once it is stored).
type answers struct {
	inbox string

	mu      sync.Mutex
	last    int64
	waiting map[int64]func(error)
	lost    bool
}

// answersOver hears answers over a connection until it is lost; what is not answered by then is
// unknown.
func answersOver(up context.Context, nc *nats.Conn) (*answers, error) {
	a := &answers{inbox: nc.NewInbox() + ".", waiting: map[int64]func(error){}}
	if _, err := nc.Subscribe(a.inbox+"*", a.hear); err != nil {
		return nil, err
	}
	context.AfterFunc(up, a.lose)
	return a, nil
}

// expect is the subject of an answer that told hears of.
func (a *answers) expect(told func(error)) (reply string) {
	a.mu.Lock()
	a.last++
	number, lost := a.last, a.lost
	if !lost {
		a.waiting[number] = told
	}
	a.mu.Unlock()
	if lost {
		told(errNotTold)
	}
	return a.inbox + strconv.FormatInt(number, 10)
}

func (a *answers) hear(msg *nats.Msg) {
	number, _ := strconv.ParseInt(strings.TrimPrefix(msg.Subject, a.inbox), 10, 64)
	a.mu.Lock()
	told := a.waiting[number]
	delete(a.waiting, number)
	a.mu.Unlock()
	if told != nil {
		told(nil)
	}
}

// errNotTold is of an acknowledgement whose answer was lost with the connection.
var errNotTold = fmt.Errorf("%w: the connection was lost", conn.ErrUnknown)

func (a *answers) lose() {
	a.mu.Lock()
	a.lost = true
	numbers := make([]int64, 0, len(a.waiting))
	for number := range a.waiting {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	waiting := a.waiting
	a.waiting = nil
	a.mu.Unlock()
	for _, number := range numbers {
		waiting[number](errNotTold)
	}
}
