package bubble

import (
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// Goroutine is one goroutine as the runtime prints it.
type Goroutine struct {
	ID      string
	State   string // "sync.Mutex.Lock", "chan receive"
	Bubble  string // the bubble's number, "" for none
	Durable bool   // the virtual clock may go on while it waits
	// Frames are its calls, the innermost first, without the runtime's own.
	Frames []string
	// Types are what its calls are methods of, "a/b.(*T)", without those that are none; Locks is that of
	// the call that waits for a mutex, "" where none does. Which object of the type it is cannot be
	// told: the runtime prints arguments that may be out of date.
	Types []string
	Locks string
}

// socketWait is the state of who waits for a real socket, which no virtual clock moves.
const socketWait = "IO wait"

// String is "goroutine 7 (sync.Mutex.Lock) in a.b, called by c.d".
func (g Goroutine) String() string {
	const most = 4
	frames := g.Frames[:min(most, len(g.Frames))]
	return fmt.Sprintf("goroutine %s (%s) in %s", g.ID, g.State, strings.Join(frames, ", called by "))
}

// working says that it runs, could run, or is in a system call.
func (g Goroutine) working() bool {
	return slices.Contains([]string{"running", "runnable", "syscall", "waiting"}, g.State)
}

// stacksMost bounds the text of all goroutines, in bytes.
const stacksMost = 64 << 20

// stacks are all goroutines of the process, and the text that tells them.
func stacks() ([]Goroutine, string) {
	for size := 1 << 20; ; size *= 4 {
		text := make([]byte, size)
		if n := runtime.Stack(text, true); n < size || size >= stacksMost {
			return parse(string(text[:n])), string(text[:n])
		}
	}
}

// bubbleHere is the number of the bubble that the caller is in.
func bubbleHere() string {
	text := make([]byte, 1<<10)
	all := parse(string(text[:runtime.Stack(text, false)]))
	if len(all) == 0 {
		return ""
	}
	return all[0].Bubble
}

// of are the goroutines of one bubble.
func of(bubble string, all []Goroutine) (some []Goroutine) {
	for _, g := range all {
		if g.Bubble == bubble {
			some = append(some, g)
		}
	}
	return some
}

var (
	heading = regexp.MustCompile(`^goroutine (\d+) \[([^\]]*)\]:$`)
	call    = regexp.MustCompile(`^(\S.*)\(([^()]*)\)$`)
)

// parse reads what runtime.Stack prints.
func parse(text string) (all []Goroutine) {
	for block := range strings.SplitSeq(text, "\n\n") {
		lines := strings.Split(block, "\n")
		if m := heading.FindStringSubmatch(lines[0]); m != nil {
			all = append(all, goroutine(m[1], m[2], lines[1:]))
		}
	}
	return all
}

// goroutine reads one goroutine.
func goroutine(id, about string, lines []string) Goroutine {
	parts := strings.Split(about, ", ")
	g := Goroutine{ID: id, State: parts[0]}
	g.State, g.Durable = strings.CutSuffix(g.State, " (durable)")
	for _, p := range parts[1:] {
		if number, ok := strings.CutPrefix(p, "synctest bubble "); ok {
			g.Bubble = number
		}
	}
	locking := false
	for _, line := range lines {
		m := call.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		name := m[1]
		if within(name) {
			locking = locking || strings.Contains(name, "Mutex)")
			continue
		}
		of, _, method := strings.Cut(name, ").")
		if method {
			g.Types = append(g.Types, of+")")
		}
		if locking && method && len(g.Frames) == 0 {
			g.Locks = of + ")"
		}
		g.Frames = append(g.Frames, name)
	}
	return g
}

// within says that a call is the runtime's or that of a lock, and tells a reader nothing.
func within(name string) bool {
	return slices.ContainsFunc([]string{"runtime.", "internal/", "sync."}, func(p string) bool {
		return strings.HasPrefix(name, p)
	})
}
