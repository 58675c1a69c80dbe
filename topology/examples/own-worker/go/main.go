// Command go is a worker of one's own in the place of worker1 of the iot-platform: it takes events
// from a Kafka topic, posts each to an HTTP service and sets aside what cannot be posted. It knows
// nothing of Faultline but the environment, and imports nothing of it.
//
// It stands in the run step of load → plan → run → check → report, as a command of a node. With
// -commit=before-work it has a bug that is easily written: it commits what it has only read, and
// loses with the process what it had not worked on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	commit := flag.String("commit", "after-work", "when offsets are committed: after-work, or "+
		"before-work, which loses messages when the process dies")
	work := flag.Duration("work", 2*time.Millisecond, "what the work on one event takes before it is "+
		"posted")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *commit, *work); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, commit string, work time.Duration) error {
	early, ok := map[string]bool{"after-work": false, "before-work": true}[commit]
	if !ok {
		return fmt.Errorf("no commit %q, accepted: after-work, before-work", commit)
	}
	cfg := config{
		brokers: strings.Split(os.Getenv("KAFKA_BROKERS"), ","),
		group:   os.Getenv("STREAM_GROUP"),
		topic:   "events",
		dead:    "events.dead",
		url:     os.Getenv("DATA_API_URL") + "/records",
		early:   early,
		work:    work,
	}
	if os.Getenv("KAFKA_BROKERS") == "" || os.Getenv("DATA_API_URL") == "" {
		return errors.New("KAFKA_BROKERS and DATA_API_URL must be set")
	}
	w := newWorker(cfg)
	log.Printf("taking %s as %s, commit %s", cfg.topic, cfg.group, commit)
	err := w.run(ctx)
	return errors.Join(err, w.close())
}
