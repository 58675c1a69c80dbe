package byhand

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"

	"github.com/segmentio/kafka-go"
)

// worker posts records of the stream to the data API, those of one key in order.
type worker struct {
	reader   *kafka.Reader
	client   *http.Client
	target   string
	progress progress
	lanes    [lanes]chan *step
	failed   func(error)
}

func (p *Pipeline) startWorkers(_, life context.Context, cfg Config) error {
	for range workers {
		transport := &http.Transport{MaxIdleConnsPerHost: 2 * lanes}
		w := &worker{
			reader: newReader(cfg, events, "worker1"), client: &http.Client{Transport: transport},
			target: "http://" + cfg.API.Addr().String() + "/records", failed: cfg.Failed,
			progress: progress{open: map[int][]*step{}},
		}
		for i := range w.lanes {
			lane := make(chan *step, 16)
			w.lanes[i] = lane
			p.running.Go(func() { w.work(life, lane) })
		}
		p.running.Go(func() { w.fetch(life) })
		p.onClose(func() error { transport.CloseIdleConnections(); return w.reader.Close() })
	}
	return nil
}

func (w *worker) fetch(life context.Context) {
	for {
		m, err := w.reader.FetchMessage(life)
		if life.Err() != nil {
			return
		}
		if err != nil {
			w.failed(fmt.Errorf("fetch: %w", err))
			continue
		}
		h := fnv.New32a()
		h.Write(m.Key)
		select {
		case w.lanes[h.Sum32()%lanes] <- w.progress.begin(m):
		case <-life.Done():
			return
		}
	}
}

func (w *worker) work(life context.Context, lane <-chan *step) {
	for {
		select {
		case s := <-lane:
			if err := w.post(life, &s.message); err != nil {
				w.failed(fmt.Errorf("post record: %w", err))
				continue
			}
			if last, ok := w.progress.end(s); ok {
				if err := w.reader.CommitMessages(life, last); err != nil {
					w.failed(fmt.Errorf("commit: %w", err))
				}
			}
		case <-life.Done():
			return
		}
	}
}

func (w *worker) post(ctx context.Context, m *kafka.Message) error {
	e, err := fromRecord(m)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.target, bytes.NewReader(e.Data))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", e.ContentType)
	e.each(func(name, value string) { r.Header.Set(headerName(name), value) })
	answer, err := w.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", answer.Status)
	}
	return nil
}

func headerName(attribute string) string {
	if attribute == "traceparent" {
		return attribute
	}
	return "Ce-" + attribute
}
