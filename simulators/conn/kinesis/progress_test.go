package kinesis

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestProgress(t *testing.T) {
	begin := func() (*progress, []int64) {
		p := newProgress("9")
		var tickets []int64
		for _, sequence := range []string{"10", "11", "12"} {
			tickets = append(tickets, p.begin(sequence))
		}
		return p, tickets
	}
	want := func(t *testing.T, p *progress, mark string, more bool) {
		t.Helper()
		if got, _, ok := p.unwritten(); got != mark || ok != more {
			t.Errorf("mark %q, unwritten %v; want %q, %v", got, ok, mark, more)
		}
	}
	t.Run("mark/a later one settled/stays", func(t *testing.T) {
		p, tickets := begin()
		p.settle(tickets[1])
		want(t, p, "9", false)
	})
	t.Run("mark/those before it settled too/behind all of them", func(t *testing.T) {
		p, tickets := begin()
		p.settle(tickets[1])
		p.settle(tickets[0])
		want(t, p, "11", true)
		p.wrote("11", 1)
		want(t, p, "11", false)
	})
	t.Run("end/some unsettled/waits for them", func(t *testing.T) {
		p, tickets := begin()
		for _, ticket := range tickets[:2] {
			p.settle(ticket)
		}
		if p.finish() {
			t.Error("it has ended with one unsettled")
		}
		want(t, p, "11", true)
		p.settle(tickets[2])
		want(t, p, shardEnd, true)
	})
	t.Run("close/settled later/not counted", func(t *testing.T) {
		p, tickets := begin()
		if mark := p.close(); mark != "9" {
			t.Errorf("closed at %q", mark)
		}
		if moved, open := p.settle(tickets[0]); moved || open {
			t.Error("a closed one has settled")
		}
		want(t, p, "9", false)
	})
}

// TestProgressIsTheLowestUnsettled wants that, in whatever order records are settled, the mark is
// the last before the first unsettled one.
func TestProgressIsTheLowestUnsettled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newProgress("0")
		n := rapid.IntRange(1, 20).Draw(t, "records")
		order := rapid.Permutation(seq(n)).Draw(t, "order")
		var tickets []int64
		for i := range n {
			tickets = append(tickets, p.begin(fmt.Sprint(i+1)))
		}
		settled := map[int]bool{}
		for _, i := range order {
			p.settle(tickets[i])
			settled[i] = true
			lowest := 0
			for settled[lowest] {
				lowest++
			}
			if mark, _, _ := p.unwritten(); mark != fmt.Sprint(lowest) {
				t.Fatalf("mark %s, the first unsettled is %d", mark, lowest+1)
			}
		}
	})
}

func seq(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}
