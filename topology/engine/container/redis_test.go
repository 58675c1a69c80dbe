//go:build containers

package container_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRedis(t *testing.T) {
	b := up(t, node("redis"), nil)
	got, err := b.say(b.ctx, "SET a 1", "GET a")
	if diff := cmp.Diff([]string{"+OK", "1"}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}
