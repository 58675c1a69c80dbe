package sqs_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/aws/awstest"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
)

// Bursts of one key wake the polls of all members at once, while messages of the key are in hand.
func TestOrderOfOneKeyAmongManyMembers(t *testing.T) {
	s := awstest.Start(t, "sqs")
	producer := client(t, s, "producer")
	declare(t, producer, keyed("keyed"))
	got := conntest.NewTally(func(d conn.Delivery) {
		time.AfterFunc(10*time.Millisecond, func() { _ = d.Ack(context.Background()) })
	})
	for i := range 4 {
		subscribe(t, client(t, s, fmt.Sprint("worker", i)), "keyed", got.Handle)
	}
	const bursts, each = 15, 8
	for i := range int64(bursts) {
		for j := range int64(each) {
			m := conntest.Letter("device", i*each+j)
			if _, err := producer.Publish(t.Context(), "keyed", m); err != nil {
				t.Fatal(err)
			}
		}
		got.Wait(t, int(i+1)*each)
	}
	var want []int64
	for n := range int64(bursts * each) {
		want = append(want, n)
	}
	deliveries := len(got.Deliveries(t, 0))
	if diff := cmp.Diff(want, got.Order()["device"]); diff != "" || deliveries != len(want) {
		t.Errorf("%d deliveries, %s", deliveries, diff)
	}
}
