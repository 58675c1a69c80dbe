package wire

import (
	"testing"

	"github.com/faultline-sim/faultline/topology"
)

func TestWhatIsSentAtOnceComesApart(t *testing.T) {
	const mark = "00-0123456789abcdef"
	l := &link{
		wire:   topology.Wire{From: "a", To: "b"},
		fabric: &fabric{opt: Options{Transport: Virtual, Marker: mark}},
	}
	one := []byte("x traceparent: " + mark + "0000000000000001-00")
	two := []byte("y traceparent: " + mark + "0000000000000002-00")
	first, back := l.takes("a[0] -> b")
	second, _ := l.takes("a[1] -> b")
	if first(one) == first(two) || first(one) == second(one) {
		t.Error("two messages, or one over two paths, take the same time")
	}
	if first([]byte("heartbeat")) != second([]byte("heartbeat")) {
		t.Error("what carries no message takes another time over another path of the wire")
	}
	if first([]byte("heartbeat")) == back([]byte("heartbeat")) {
		t.Error("both directions take the same time")
	}
	again, _ := l.takes("a[0] -> b")
	if first(one) != again(one) {
		t.Error("the same message takes another time")
	}
	for _, b := range [][]byte{one, two, nil, []byte(mark), []byte("heartbeat")} {
		if d := first(b); d < hop || d > hop+2*spread {
			t.Errorf("%q takes %s", b, d)
		}
	}
	l.fabric.opt.Transport = Memory
	if there, back := l.takes("a -> b"); there != nil || back != nil {
		t.Error("bytes take their time where time is real")
	}
}
