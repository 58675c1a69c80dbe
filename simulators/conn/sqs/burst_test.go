package sqs_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/aws/awstest"
)

// Bursts of one key wake the polls of all members at once, while messages of the key are in hand.
func TestOrderOfOneKeyAmongManyMembers(t *testing.T) {
	s := awstest.Start(t, "sqs")
	producer := client(t, s, "producer")
	declare(t, producer, keyed("keyed"))
	got := newTally(func(d conn.Delivery) {
		time.AfterFunc(10*time.Millisecond, func() { _ = d.Ack(context.Background()) })
	})
	for i := range 4 {
		subscribe(t, client(t, s, fmt.Sprint("worker", i)), "keyed", got.handle)
	}
	const bursts, each = 15, 8
	for i := range int64(bursts) {
		for j := range int64(each) {
			if _, err := producer.Publish(t.Context(), "keyed", letter("device", i*each+j)); err != nil {
				t.Fatal(err)
			}
		}
		got.wait(t, int(i+1)*each)
	}
	var want []int64
	for n := range int64(bursts * each) {
		want = append(want, n)
	}
	if diff := cmp.Diff(want, got.order["device"]); diff != "" || len(got.all) != len(want) {
		t.Errorf("%d deliveries, %s", len(got.all), diff)
	}
}
