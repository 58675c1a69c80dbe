package scenariotest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/faultline-sim/faultline/scenarios/scenariotest"
)

// worker is a program as a user would have one: kafka-go and net/http, nothing of Faultline but the
// environment and its dialer.
type worker struct {
	reader *kafka.Reader
	client *http.Client
	url    string
}

func newWorker(env scenariotest.Env) *worker {
	dial := env.Dial
	if env[sockets] != "" {
		dial = new(net.Dialer).DialContext
	}
	return &worker{
		reader: kafka.NewReader(kafka.ReaderConfig{
			Brokers: strings.Split(env["STREAM_BROKERS"], ","), GroupID: env["STREAM_GROUP"], Topic: "orders",
			MaxWait: 100 * time.Millisecond, ReadBackoffMin: 20 * time.Millisecond,
			SessionTimeout: time.Second, HeartbeatInterval: 200 * time.Millisecond,
			RebalanceTimeout: time.Second, JoinGroupBackoff: 100 * time.Millisecond,
			Dialer: &kafka.Dialer{Timeout: time.Second, DialFunc: dial},
		}),
		client: &http.Client{Timeout: time.Second, Transport: &http.Transport{DialContext: dial}},
		url:    env["ARCHIVE_URL"] + "/orders",
	}
}

// sockets is the variable that makes a worker dial by itself.
const sockets = "WORKER_DIALS_BY_ITSELF"

// bySockets is a worker that goes round what it is given.
func bySockets(
	do func(context.Context, scenariotest.Env) error,
) func(context.Context, scenariotest.Env) error {
	return func(ctx context.Context, env scenariotest.Env) error {
		env[sockets] = "yes"
		return do(ctx, env)
	}
}

func (w *worker) close() {
	w.reader.Close()
	w.client.CloseIdleConnections()
}

// store posts one record with the headers it came with.
func (w *worker) store(ctx context.Context, m kafka.Message) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(m.Value))
	if err != nil {
		return err
	}
	for _, h := range m.Headers {
		request.Header.Set(strings.Replace(h.Key, "ce_", "ce-", 1), string(h.Value))
	}
	answer, err := w.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode >= 300 {
		return fmt.Errorf("archive answered %s", answer.Status)
	}
	return nil
}

// storeAtLast posts until it is told that it worked.
func (w *worker) storeAtLast(ctx context.Context, m kafka.Message) error {
	for {
		if err := w.store(ctx, m); err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// commitsAfter stores each record, then commits it.
func commitsAfter(ctx context.Context, env scenariotest.Env) error {
	return each(func(ctx context.Context, w *worker, m kafka.Message) { w.storeAtLast(ctx, m) })(ctx, env)
}

// commitsBefore commits what it has read into its memory, and works that off slowly.
func commitsBefore(ctx context.Context, env scenariotest.Env) error {
	w := newWorker(env)
	defer w.close()
	inbox := make(chan kafka.Message, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m := range inbox {
			select {
			case <-time.After(100 * time.Millisecond): // what its work takes
				w.storeAtLast(ctx, m)
			case <-ctx.Done():
			}
		}
	}()
	defer func() {
		close(inbox)
		<-done
	}()
	for ctx.Err() == nil {
		m, err := w.reader.ReadMessage(ctx)
		if err == nil {
			inbox <- m
		}
	}
	return nil
}

// each does something with each record, whatever comes of it, and commits it.
func each(do func(context.Context, *worker, kafka.Message)) func(context.Context, scenariotest.Env) error {
	return func(ctx context.Context, env scenariotest.Env) error {
		w := newWorker(env)
		defer w.close()
		for ctx.Err() == nil {
			m, err := w.reader.FetchMessage(ctx)
			if err != nil {
				continue
			}
			if do(ctx, w, m); ctx.Err() != nil {
				return nil
			}
			w.commit(ctx, m)
		}
		return nil
	}
}

func (w *worker) commit(ctx context.Context, m kafka.Message) {
	for w.reader.CommitMessages(ctx, m) != nil && ctx.Err() == nil {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// forgets takes no notice of the archive's answer.
func forgets(ctx context.Context, env scenariotest.Env) error {
	return each(func(ctx context.Context, w *worker, m kafka.Message) { w.store(ctx, m) })(ctx, env)
}

func storesTwice(ctx context.Context, env scenariotest.Env) error {
	return each(func(ctx context.Context, w *worker, m kafka.Message) {
		w.storeAtLast(ctx, m)
		w.storeAtLast(ctx, m)
	})(ctx, env)
}

// dropsHeaders stores bodies alone.
func dropsHeaders(ctx context.Context, env scenariotest.Env) error {
	return each(func(ctx context.Context, w *worker, m kafka.Message) {
		m.Headers = nil
		w.storeAtLast(ctx, m)
	})(ctx, env)
}

func forgetsWithoutHeaders(ctx context.Context, env scenariotest.Env) error {
	return each(func(ctx context.Context, w *worker, m kafka.Message) {
		m.Headers = nil
		w.store(ctx, m)
	})(ctx, env)
}

func storesTwiceWithoutHeaders(ctx context.Context, env scenariotest.Env) error {
	return each(func(ctx context.Context, w *worker, m kafka.Message) {
		m.Headers = nil
		w.storeAtLast(ctx, m)
		w.storeAtLast(ctx, m)
	})(ctx, env)
}

// storesObjects writes each record to the store by itself, as a structured CloudEvent.
func storesObjects(ctx context.Context, env scenariotest.Env) error {
	return each(func(ctx context.Context, w *worker, m kafka.Message) {
		event := map[string]any{"data": json.RawMessage(m.Value), "datacontenttype": "application/json"}
		for _, h := range m.Headers {
			if h.Key != "content-type" {
				event[strings.TrimPrefix(h.Key, "ce_")] = string(h.Value)
			}
		}
		body, err := json.Marshal(event)
		if err != nil {
			return
		}
		object := fmt.Sprintf("%s/faultline/orders/%s", env["LAKE_URL"], event["id"])
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, object, bytes.NewReader(body))
		if err != nil {
			return
		}
		if answer, err := w.client.Do(request); err == nil {
			answer.Body.Close()
		}
	})(ctx, env)
}
