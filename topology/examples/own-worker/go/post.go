package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
)

// What is promised for a post: this many attempts, with growing pauses between them.
const (
	attempts   = 4
	firstPause = 50 * time.Millisecond
	longest    = time.Second
	jitter     = 0.2
)

// statusError is an answer that is not what was hoped for.
type statusError int

func (e statusError) Error() string { return "answered " + http.StatusText(int(e)) }

// permanent says that asking again is of no use.
func permanent(err error) bool {
	var status statusError
	return errors.As(err, &status) && status/100 == 4 && status != http.StatusTooManyRequests
}

// postPatiently posts an event until that works, is of no use or was tried often enough. It
// returns how often it tried.
func (w *worker) postPatiently(ctx context.Context, m kafka.Message) (tries int, err error) {
	pause := firstPause
	for tries = 1; ; tries++ {
		err = w.post(ctx, m)
		if err == nil || permanent(err) || tries == attempts {
			return tries, err
		}
		spread := 1 + jitter*(2*rand.Float64()-1)
		select {
		case <-time.After(time.Duration(float64(pause) * spread)):
		case <-ctx.Done():
			return tries, ctx.Err()
		}
		pause = min(2*pause, longest)
	}
}

// post posts an event once, with the headers it came with: its CloudEvents attributes and its trace.
func (w *worker) post(ctx context.Context, m kafka.Message) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(m.Value))
	if err != nil {
		return err
	}
	for _, h := range m.Headers {
		name := h.Key
		if attribute, ok := strings.CutPrefix(name, "ce_"); ok {
			name = "ce-" + attribute
		}
		request.Header.Set(name, escaped(h.Value))
	}
	answer, err := w.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		return statusError(answer.StatusCode)
	}
	return nil
}

// escaped is an attribute as HTTP carries it (CloudEvents HTTP binding, 3.1.3.2).
func escaped(value []byte) string {
	var b strings.Builder
	for _, c := range value {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
