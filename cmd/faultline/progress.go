package main

import (
	"fmt"
	"io"
	"time"

	"github.com/faultline-sim/faultline/reports"
	"github.com/faultline-sim/faultline/scenarios/runner"
)

// progress shows what a run is doing: on a terminal one live line below the last event, elsewhere a
// plain line for each event.
type progress struct {
	w     io.Writer
	width int
	live  bool
}

func newProgress(w io.Writer) *progress {
	width, ok := isTerminal(w)
	return &progress{w: w, width: width, live: ok}
}

// clearLine puts the cursor at the beginning of an empty line.
const clearLine = "\r\x1b[K"

func (p *progress) show(s runner.Progress) {
	at := s.At.Round(10 * time.Millisecond).Seconds()
	if s.Text != "" {
		clear := ""
		if p.live {
			clear = clearLine
		}
		fmt.Fprintf(p.w, "%s%7.2fs  %s\n", clear, at, reports.Plain(s.Text))
	}
	if !p.live || s.Asked == 0 {
		return
	}
	line := fmt.Sprintf("%7.2fs  %s, %d of %d messages sent", at, s.Phase, s.Sent, s.Asked)
	if s.Faults > 0 {
		line += fmt.Sprintf(", %d faults in force", s.Faults)
	}
	if len(line) >= p.width {
		line = line[:max(0, p.width-1)]
	}
	fmt.Fprint(p.w, clearLine+line)
	if s.Phase == "audit" {
		fmt.Fprint(p.w, clearLine)
	}
}
