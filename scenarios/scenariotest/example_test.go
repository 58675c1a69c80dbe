package scenariotest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"

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
	// delivery[order] valid
	// order[order] valid
	// trace[order] valid
	// conservation valid
	// dead_letter[stream/orders.dead] valid
	// retry[worker.orders] valid
}
