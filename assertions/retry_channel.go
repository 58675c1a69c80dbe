package assertions

import (
	"fmt"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
)

// tryOf is one attempt at a message by a handler with a retry channel, over however many deliveries.
type tryOf struct {
	subject
	n int32
}

// resumed judges one attempt of a handler whose further attempts wait in a retry channel. A crash
// repeats the attempt it interrupts and may leave two copies of a message on the way, so that each
// attempt is held against the first failure of the one before it.
func (c *retry) resumed(e *history.Event) {
	rule := c.rules[""]
	c.tries++
	if e.Attempt > 1 {
		c.retries++
		last, failed := c.failed[tryOf{subject{e.Flow, e.Message}, e.Attempt - 1}]
		least, most := rule.backoff.Pause(int(e.Attempt) - 1)
		gap := time.Duration(e.At - e.Duration - last.end)
		switch {
		case int(e.Attempt) > rule.limit:
			c.wrong(e, "", "over-retried",
				fmt.Sprintf("was tried %d times, the limit is %d", e.Attempt, rule.limit))
		case !failed:
			c.wrong(e, "", "after-success",
				fmt.Sprintf("was tried again (%d) without having failed before", e.Attempt))
		case last.permanent:
			c.wrong(e, "", "after-permanent", "was tried again after a permanent failure")
		case gap < least-shortest:
			c.wrong(e, "", "short-gap", fmt.Sprintf("was tried again (%d) after %v, declared %v to %v",
				e.Attempt, gap.Round(time.Millisecond/10), least, most))
		}
	}
	k := tryOf{subject{e.Flow, e.Message}, e.Attempt}
	if _, known := c.failed[k]; !known && e.Outcome != history.Ok {
		c.failed[k] = try{end: e.At, permanent: permanent(e.Reason, rule.permanent)}
	}
}
