// Package byhand is the iot-platform's telemetry flow as a Go developer writes it without a
// harness: devices, event rule, workers, data API and ETL on paho, kafka-go, net/http, the AWS SDK
// and pgx, dialled directly, with nothing recorded.
//
// It is what the benchmarks hold the simulated flow against, and stands outside load → plan → run
// → check → report. Hops, envelopes, quality of service, acknowledgements, concurrency and
// partitions are those that topology/examples/iot-platform.yaml declares. It imports no simulator.
package byhand

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// The sizes that the topology declares.
const (
	partitions  = 6
	workers     = 2
	lanes       = 4 // in each worker
	batchSize   = 500
	batchWithin = 500 * time.Millisecond
	events      = "events"
	alerts      = "alerts"
	changes     = "changes"
)

// Config is what a pipeline is made from. Addresses are host:port.
type Config struct {
	MQTT     string
	Kafka    []string
	S3       string
	Postgres string
	API      net.Listener // the data API's own
	Devices  int
	Stored   func(number int64) // told of each message in the data lake; it must not block
	Loaded   func(number int64) // told of each message in the warehouse; it must not block
	Failed   func(error)        // told of each message that could not be passed on
}

// Pipeline is the whole flow, running.
type Pipeline struct {
	devices []*device
	closes  []func() error // in order
	stop    context.CancelFunc
	running sync.WaitGroup
}

// New brings everything up, the far end first; it returns when every device is connected.
func New(ctx context.Context, cfg Config) (*Pipeline, error) {
	life, stop := context.WithCancel(context.Background())
	p := &Pipeline{stop: stop}
	for _, start := range []func(context.Context, context.Context, Config) error{
		p.makeTopics, p.startETL, p.startAPI, p.startWorkers, p.startRule, p.startDevices,
	} {
		if err := start(ctx, life, cfg); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	return p, nil
}

// Send begins one message of a device; messages of one device leave one after the other.
func (p *Pipeline) Send(device int, number int64, intended time.Time) {
	p.devices[device].send(number, intended)
}

// Close ends everything, the near end first.
func (p *Pipeline) Close() error {
	var errs []error
	for _, d := range p.devices {
		d.close()
	}
	p.stop()
	for i := len(p.closes) - 1; i >= 0; i-- {
		errs = append(errs, p.closes[i]())
	}
	p.running.Wait()
	return errors.Join(errs...)
}

func (p *Pipeline) onClose(f func() error) { p.closes = append(p.closes, f) }

// wrap adds what was done to an error.
func wrap(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
