package redis

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
)

// revived is an engine that takes commands, and no connections.
func revived(t *testing.T) *Engine {
	t.Helper()
	made, err := New(engine.Config{Node: &topology.Node{Name: "cache"}})
	if err != nil {
		t.Fatal(err)
	}
	e := made.(*Engine)
	if err := e.revive(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.data.Close)
	return e
}

// do gives the engine a command as a client's connection does.
func (e *Engine) do(command string) {
	e.data.Server().Dispatch(server.NewPeer(bufio.NewWriter(io.Discard)), strings.Fields(command))
}

func TestKeysExpireByTheClockAlsoWhileStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := revived(t)
		e.ended.Go(func() { e.ages.expire(t.Context(), e.data) })
		time.Sleep(time.Minute) // nobody has a time to live
		for _, c := range []string{"SET soon 1 EX 1", "SETEX late 60 1", "SET never 1"} {
			e.do(c)
		}
		time.Sleep(time.Second - time.Millisecond)
		if diff := cmp.Diff([]string{"late", "never", "soon"}, e.data.Keys()); diff != "" {
			t.Errorf("keys within a second (-want +got):\n%s", diff)
		}
		time.Sleep(time.Millisecond + expireEach)
		synctest.Wait()
		if diff := cmp.Diff([]string{"late", "never"}, e.data.Keys()); diff != "" {
			t.Errorf("keys after a second (-want +got):\n%s", diff)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		e := revived(t)
		e.do("SET late 1")
		e.do("EXPIRE late 60")
		time.Sleep(time.Minute)
		e.ages.age(e.data) // as Start does
		if diff := cmp.Diff([]string{}, e.data.Keys()); diff != "" {
			t.Errorf("keys after a minute's stop (-want +got):\n%s", diff)
		}
	})
}

func TestManyKeysAreWalkedLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := revived(t)
		e.do("SET mortal 1 EX 60")
		for i := range 50 {
			e.do("SET key" + string(rune('A'+i)) + " 1")
		}
		if took := e.ages.age(e.data); took != 51*perKey {
			t.Errorf("51 keys take %s to walk", took)
		}
	})
}

func TestLimitsLife(t *testing.T) {
	for command, want := range map[string]bool{
		"SET k v": false, "SET k v NX EX 5": true, "SETEX k 5 v": true, "PSETEX k 5 v": true,
		"GETEX k EX 5": true, "EXPIRE k 5": true, "PEXPIREAT k 5": true, "HEXPIRE k 5 FIELDS 1 f": true,
		"HSETEX k EX 5 FIELDS 1 f v": true, "RESTORE k 5 x": true,
		"GET k": false, "MSET k v l w": false, "EXISTS k": false, "EXEC": false, "RPUSH k v": false,
	} {
		words := strings.Fields(command)
		if got := limitsLife(words[0], words[1:]); got != want {
			t.Errorf("%s: %v", command, got)
		}
	}
}
