package main

import (
	"context"
	"errors"
	"log"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
)

// failure is what became of an event that could not be posted.
type failure struct {
	reason      string
	attempts    int
	first, last time.Time
}

// reasonOf is a failure in one word.
func reasonOf(err error) string {
	var status statusError
	var network net.Error
	switch {
	case errors.As(err, &status) && status == 429:
		return "429"
	case errors.As(err, &status):
		return strconv.Itoa(int(status)/100) + "xx"
	case errors.As(err, &network) && network.Timeout():
		return "timeout"
	}
	return "connection"
}

// retryAside is the pause between two tries to set an event aside.
const retryAside = 100 * time.Millisecond

// setAside writes an event to the dead-letter topic, with its own headers and what happened to it,
// until that works; false when ctx ended before.
func (w *worker) setAside(ctx context.Context, m kafka.Message, f failure) bool {
	told := url.Values{
		"reason":       {f.reason},
		"attempts":     {strconv.Itoa(f.attempts)},
		"firstfailure": {f.first.UTC().Format(time.RFC3339Nano)},
		"lastfailure":  {f.last.UTC().Format(time.RFC3339Nano)},
	}
	dead := kafka.Message{Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		if h.Key != "ce_headers" {
			dead.Headers = append(dead.Headers, h)
		}
	}
	dead.Headers = append(dead.Headers,
		kafka.Header{Key: "ce_headers", Value: []byte(told.Encode())})
	for {
		err := w.writer.WriteMessages(ctx, dead)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		log.Printf("set aside %d/%d: %v", m.Partition, m.Offset, err)
		select {
		case <-time.After(retryAside):
		case <-ctx.Done():
			return false
		}
	}
}
