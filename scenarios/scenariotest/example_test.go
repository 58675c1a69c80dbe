package scenariotest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/faultline-sim/faultline/scenarios/scenariotest"
)

// price is the code under test: what the worker does with an order.
func price(_ context.Context, m scenariotest.Message) error {
	var order struct{ Total float64 }
	if err := json.Unmarshal(m.Body, &order); err != nil {
		return scenariotest.Permanent(err)
	}
	return nil
}

// In a test, one call does it all: each verdict is a subtest.
func ExampleRun() {
	testOrders := func(t *testing.T) {
		scenariotest.Run(t, "testdata/orders-stream-cut.yaml",
			scenariotest.Handler("worker.orders", price),
			scenariotest.Seed(7))
	}
	_ = testOrders
}

// A process of one's own takes kafka-go and net/http as they are: what they dial by is env.Dial. Its
// run of eight seconds takes a fraction of one, and finds the order that is lost while the archive is
// down.
func ExampleProcess() {
	work := func(ctx context.Context, env scenariotest.Env) error {
		orders := kafka.NewReader(kafka.ReaderConfig{
			Brokers: strings.Split(env["STREAM_BROKERS"], ","), GroupID: env["STREAM_GROUP"], Topic: "orders",
			Dialer: &kafka.Dialer{DialFunc: env.Dial}, MaxWait: 100 * time.Millisecond,
		})
		defer orders.Close()
		transport := &http.Transport{DialContext: env.Dial}
		defer transport.CloseIdleConnections()
		for {
			order, err := orders.FetchMessage(ctx)
			if err != nil {
				return err // ctx has ended
			}
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, env["ARCHIVE_URL"]+"/orders",
				bytes.NewReader(order.Value))
			if err != nil {
				return err
			}
			for _, h := range order.Headers { // so that the order is known again
				request.Header.Set(strings.Replace(h.Key, "ce_", "ce-", 1), string(h.Value))
			}
			answer, err := transport.RoundTrip(request)
			if err != nil {
				continue // the mistake: nobody posts this order again, and a later commit covers it
			}
			answer.Body.Close()
			if err := orders.CommitMessages(ctx, order); err != nil {
				return err
			}
		}
	}
	out, err := os.MkdirTemp("", "orders-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(out)
	result, err := scenariotest.Play(context.Background(), "testdata/process-archive-killed.yaml",
		scenariotest.Process("worker", work, scenariotest.DialsByEnv), scenariotest.Out(out))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("clock:", result.Report.Clock.Time)
	for _, v := range result.Report.Verdicts {
		fmt.Println(v.Name, v.Value)
		if len(v.Anomalies) > 0 {
			fmt.Println("  an order is", v.Anomalies[0].Kind)
		}
	}
	// Output:
	// clock: virtual
	// steady valid
	// load valid
	// faults valid
	// delivery[order] invalid
	//   an order is lost
	// slo[order] valid
	// trace[order] valid
	// conservation invalid
	//   an order is lost
}

// What others call listens by env.Listen.
func ExampleEnv_Listen() {
	archive := func(ctx context.Context, env scenariotest.Env) error {
		l, err := env.Listen(ctx)
		if err != nil {
			return err
		}
		server := &http.Server{Handler: http.NotFoundHandler()}
		defer context.AfterFunc(ctx, func() { server.Close() })()
		return server.Serve(l)
	}
	_ = scenariotest.Process("archive", archive, scenariotest.DialsByEnv)
}

// Outside tests a run gives its result.
func Example() {
	out, err := os.MkdirTemp("", "orders-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(out)
	result, err := scenariotest.Play(context.Background(), "testdata/orders-stream-cut.yaml",
		scenariotest.Handler("worker.orders", price), scenariotest.Out(out))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range result.Report.Verdicts {
		fmt.Println(v.Name, v.Value)
	}
	// Output:
	// steady valid
	// load valid
	// faults valid
	// delivery[order] valid
	// slo[order] untested
	// order[order] valid
	// trace[order] valid
	// conservation valid
	// dead_letter[stream/orders.dead] untested
	// retry[worker.orders] untested
}
