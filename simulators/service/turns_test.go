package service

import (
	"testing"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/simulators/service/program"
)

func item(scope string, number, offset int64) *program.Item {
	return &program.Item{
		Message:  &message.Message{Flow: "job", Number: number},
		Delivery: conn.Delivery{Scope: scope, Offset: offset},
	}
}

// TestWhatStandsBehindAGivenBackDeliveryWaits checks who waits while number 5 of a scope is back at
// its broker.
func TestWhatStandsBehindAGivenBackDeliveryWaits(t *testing.T) {
	tests := map[string]struct {
		given, it *program.Item
		lost      bool // the given one's part went to another
		waits     bool
	}{
		"partition/later/waits":             {item("p 0", 5, 50), item("p 0", 6, 60), false, true},
		"partition/earlier/goes on":         {item("p 0", 5, 50), item("p 0", 4, 40), false, false},
		"partition/itself/goes on":          {item("p 0", 5, 50), item("p 0", 5, 50), false, false},
		"partition/of another/goes on":      {item("p 0", 5, 50), item("p 1", 6, 60), false, false},
		"partition/lost meanwhile/goes on":  {item("p 0", 5, 50), item("p 0", 6, 60), true, false},
		"key without offsets/another/waits": {item("key a", 5, 0), item("key a", 6, 0), false, true},
		"key without offsets/itself/goes on": {
			item("key a", 5, 0), item("key a", 5, 0), false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.given.Delivery.Lost = func() bool { return tt.lost }
			waiting := turns{given: map[string][]*program.Item{
				tt.given.Delivery.Scope: {tt.given},
			}}
			freed, waits := waiting.waits(tt.it)
			if waits != tt.waits {
				t.Fatalf("waits %v, want %v", waits, tt.waits)
			}
			if !waits {
				return
			}
			waiting.handled([]*program.Item{item(tt.given.Delivery.Scope, 5, tt.given.Delivery.Offset)})
			select {
			case <-freed:
			default:
				t.Error("not told when the given one was handled")
			}
			if _, waits := waiting.waits(tt.it); waits {
				t.Error("waits on, behind one that was handled")
			}
		})
	}
}

func TestLostDeliveriesAreNotWorkedOn(t *testing.T) {
	l := &lanes{}
	lost := item("p 0", 1, 10)
	lost.Delivery.Lost = func() bool { return true }
	from := new(lane)
	if next, _ := l.take(from, lost); next != nil || len(from.aside) != 0 || l.aside.Load() != 0 {
		t.Errorf("took %v, %d stand aside, want none", next, len(from.aside))
	}
	mine := item("p 0", 2, 20)
	if next, _ := l.take(from, mine); next != mine {
		t.Errorf("took %v, want the one that is not lost", next)
	}
}
