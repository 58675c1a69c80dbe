package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// config is what a worker is made from.
type config struct {
	brokers     []string
	group       string
	topic, dead string
	url         string        // where each event is posted
	early       bool          // commits what was read, before it is worked on
	work        time.Duration // on one event, before it is posted
}

// inbox is how many events of a partition are read ahead.
const inbox = 64

// worker works on the partitions that its group gives it, each in its order.
type worker struct {
	config
	reader *kafka.Reader
	writer *kafka.Writer
	client *http.Client
}

func newWorker(c config) *worker {
	return &worker{
		config: c,
		reader: kafka.NewReader(kafka.ReaderConfig{
			Brokers: c.brokers, GroupID: c.group, Topic: c.topic, StartOffset: kafka.FirstOffset,
			MinBytes: 1, MaxBytes: 1 << 20, MaxWait: 500 * time.Millisecond,
			ReadBackoffMin: 10 * time.Millisecond, ReadBackoffMax: 200 * time.Millisecond,
			SessionTimeout: 1500 * time.Millisecond, HeartbeatInterval: 200 * time.Millisecond,
			RebalanceTimeout: 3 * time.Second, JoinGroupBackoff: 200 * time.Millisecond,
			CommitInterval: 10 * time.Millisecond,
		}),
		writer: &kafka.Writer{
			Addr: kafka.TCP(c.brokers...), Topic: c.dead, Balancer: kafka.Murmur2Balancer{},
			RequiredAcks: kafka.RequireAll, BatchTimeout: time.Millisecond,
		},
		client: &http.Client{Timeout: time.Second},
	}
}

func (w *worker) close() error {
	w.client.CloseIdleConnections()
	return errors.Join(w.reader.Close(), w.writer.Close())
}

// run works until ctx ends and what is in hand is done.
func (w *worker) run(ctx context.Context) error {
	lanes := map[int]chan kafka.Message{}
	var working sync.WaitGroup
	defer working.Wait()
	defer func() {
		for _, lane := range lanes {
			close(lane)
		}
	}()
	for {
		m, err := w.read(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		lane := lanes[m.Partition]
		if lane == nil {
			lane = make(chan kafka.Message, inbox)
			lanes[m.Partition] = lane
			working.Go(func() { w.lane(ctx, lane) })
		}
		select {
		case lane <- m:
		case <-ctx.Done():
			return nil
		}
	}
}

// read takes the next event. The bug is here: to commit it now is to promise what was not done.
func (w *worker) read(ctx context.Context) (kafka.Message, error) {
	if w.early {
		return w.reader.ReadMessage(ctx)
	}
	return w.reader.FetchMessage(ctx)
}

// lane works on the events of one partition, one after the other. Events that were read ahead when
// ctx ends are left to whoever takes the partition next.
func (w *worker) lane(ctx context.Context, events <-chan kafka.Message) {
	for m := range events {
		if ctx.Err() != nil {
			return
		}
		if !w.handle(ctx, m) || w.early {
			continue
		}
		// An offset that cannot be committed is not lost: it is worked on twice.
		if err := w.reader.CommitMessages(context.WithoutCancel(ctx), m); err != nil {
			log.Printf("commit %d/%d: %v", m.Partition, m.Offset, err)
		}
	}
}

// handle works on one event and posts it, or sets it aside; false when neither came about before
// ctx ended.
func (w *worker) handle(ctx context.Context, m kafka.Message) bool {
	select {
	case <-time.After(w.config.work):
	case <-ctx.Done():
		return false
	}
	first := time.Now()
	attempts, err := w.postPatiently(ctx, m)
	if err == nil {
		return true
	}
	if ctx.Err() != nil {
		return false
	}
	failed := failure{reason: reasonOf(err), attempts: attempts, first: first, last: time.Now()}
	log.Printf("set aside %d/%d after %d attempts: %v", m.Partition, m.Offset, attempts, err)
	return w.setAside(ctx, m, failed)
}
