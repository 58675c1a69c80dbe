package redis

import (
	"bufio"
	"bytes"
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

const (
	// expireEach is how often keys are aged, at least: an expiry may be seen that much late. Aging
	// walks all keys, so it is done less often when it takes long.
	expireEach = 20 * time.Millisecond
	// share is the part of the time that may be spent on aging: one in so many.
	share = 50
	// perKey is what the walk takes for one key, about. It counts where the clock does not see work.
	perKey = 100 * time.Nanosecond
)

// ages lets keys expire by the clock. Miniredis ages them only when it is told to; its own way to
// follow the clock walks all keys at each command. Nothing is walked before a first command gives a
// key a time to live.
type ages struct {
	first  sync.Once
	mortal chan struct{} // closed once a key may have a time to live
	until  time.Time     // up to when keys have been aged; set before mortal is closed
}

func newAges() *ages { return &ages{mortal: make(chan struct{})} }

// before looks at each command before it is done; those of scripts and transactions come by too.
func (a *ages) before(_ *server.Peer, command string, args ...string) (done bool) {
	if limitsLife(command, args) {
		a.begin()
	}
	return false
}

// limitsLife says that a command may give a key, or a field of one, a time to live.
func limitsLife(command string, args []string) bool {
	switch command {
	case "SET": // what follows key and value may be EX
		return len(args) > 2
	case "RESTORE":
		return true
	case "EXISTS", "EXEC":
		return false
	}
	return strings.Contains(command, "EX") // SETEX, GETEX, HSETEX, EXPIRE, PEXPIREAT
}

// begin is called when there may be something to age from now on.
func (a *ages) begin() {
	a.first.Do(func() {
		a.until = time.Now()
		close(a.mortal)
	})
}

// expire ages keys by the clock until life ends.
func (a *ages) expire(life context.Context, data *miniredis.Miniredis) {
	select {
	case <-life.Done():
		return
	case <-a.mortal:
	}
	pause := time.NewTimer(expireEach)
	defer pause.Stop()
	for {
		select {
		case <-life.Done():
			return
		case <-pause.C:
			pause.Reset(max(expireEach, share*a.age(data)))
		}
	}
}

// age takes the time since it was last called off what keys have left to live, and says how long
// that took.
func (a *ages) age(data *miniredis.Miniredis) time.Duration {
	select {
	case <-a.mortal:
	default:
		return 0
	}
	now := time.Now()
	data.FastForward(now.Sub(a.until))
	a.until = now
	return max(time.Since(now), perKey*time.Duration(keys(data)))
}

// keys is how many there are.
func keys(data *miniredis.Miniredis) int {
	var answer bytes.Buffer
	peer := server.NewPeer(bufio.NewWriter(&answer))
	data.Server().Dispatch(peer, []string{"DBSIZE"})
	peer.Flush()
	n, _ := strconv.Atoi(strings.Trim(answer.String(), ":\r\n")) // what is no number is no key
	return n
}
