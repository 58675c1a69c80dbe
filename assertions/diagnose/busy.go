package diagnose

import (
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
)

// load is how much of its time a handler spends in its runs. A message that waited for a handler
// that had no time was held up by the handler, not on its way to it.
type load struct {
	capacity int64 // runs at once, over all replicas
	start    int64 // of the last run: a batch makes a row for each of its messages
	bucket   int64 // the bucket that is being filled
	spent    int64 // ns in runs that ended in it
	fullAt   int64 // when it was last found to be full, 0 for never
}

// What counts as having no time: runs take half of what they could, in a bucket; and how long a
// queue that came of it may last.
const (
	fullShare = 2 // one in so many
	queueFor  = int64(5 * time.Second)
)

// occupied books one run of a handler.
func (w *ward) occupied(e *history.Event) {
	at := place{e.Node, e.Handler}
	l := w.loads[at]
	if l == nil {
		l = &load{capacity: w.capacity(at)}
		w.loads[at] = l
	}
	start := e.At - e.Duration
	if start == l.start {
		return
	}
	l.start = start
	if b := e.At / int64(width); b != l.bucket {
		l.bucket, l.spent = b, 0
	}
	l.spent += e.Duration
	if l.spent*fullShare >= l.capacity*int64(width) {
		l.fullAt = e.At
	}
}

func (w *ward) capacity(at place) int64 {
	n := w.topology.Node(at.node)
	if n == nil || n.Handler(at.handler) == nil {
		return 1
	}
	return int64(max(1, n.Handler(at.handler).Concurrency)) * int64(max(1, n.Replicas))
}

// busy says whether a handler had no time of late.
func (w *ward) busy(at place, now int64) bool {
	l := w.loads[at]
	return l != nil && l.fullAt > 0 && now-l.fullAt < queueFor
}
