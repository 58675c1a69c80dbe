package container

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
)

func TestProblemsSayWhatToDo(t *testing.T) {
	m := &member{name: "faultline-x-0", port: 12345}
	for name, c := range map[string]struct {
		err        error
		is         error
		text, hint string
	}{
		"daemon/does not answer": {
			unreachable(errors.New("dial unix /var/run/docker.sock:\n no such file")), ErrNoDaemon,
			"no Docker daemon answers: dial unix /var/run/docker.sock: no such file",
			"start Docker, or choose --engines embedded",
		},
		"daemon/may not be asked": {
			unreachable(errors.New("permission denied while trying to connect")), ErrNoPermission,
			"the Docker daemon's socket may not be used: permission denied while trying to connect",
			"add yourself to the group docker and log in anew, or choose --engines embedded",
		},
		"image/not to be had": {
			noImage("redis:99", errors.New("manifest unknown")), ErrNoImage,
			`the image is neither here nor can it be pulled: "redis:99": manifest unknown`,
			"name another with image: on the node or with --images FILE; " +
				".ci/docker builds local ones where nothing can be pulled",
		},
		"port/taken": {
			atStart(m, errors.New("listen tcp4 127.0.0.1:12345: bind: address already in use")),
			ErrPortTaken,
			"publish 127.0.0.1:12345: the port is taken: " +
				"listen tcp4 127.0.0.1:12345: bind: address already in use",
			"end what listens on 127.0.0.1:12345, or run again: another port is chosen",
		},
		"container/ends at once": {
			died("redis:7.4", 1, []string{"one", "two"}), ErrDied,
			"the container ended at its start: redis:7.4 with exit code 1; its last 2 lines:\n" +
				"    one\n    two",
			"see what the container logged; an image: must be one of the protocol's default " +
				"image's kind",
		},
		"container/ends in silence": {
			died("redis:7.4", 127, nil), ErrDied,
			"the container ended at its start: redis:7.4 with exit code 127; it logged nothing",
			"see what the container logged; an image: must be one of the protocol's default " +
				"image's kind",
		},
		"container/never ready": {
			notReady(product{asked: "PING"}, m, 90*time.Second, errors.New("EOF")), ErrNotReady,
			"it was never ready: asked 127.0.0.1:12345 for PING over 1m30s; last: EOF",
			"the machine may be too busy: run fewer at once",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var p *engine.Problem
			if !errors.Is(c.err, c.is) || !errors.As(c.err, &p) {
				t.Fatalf("got %v", c.err)
			}
			if diff := cmp.Diff([]string{c.text, c.hint}, []string{p.Error(), p.Hint()}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatCannotBeMade(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  engine.Config
		want string
	}{
		"protocol/unknown": {
			engine.Config{Node: &topology.Node{Name: "old", Protocol: "carrier-pigeon"}},
			`choose engine for "old": no container speaks "carrier-pigeon"; there are amqp, kafka, ` +
				`kinesis, mqtt, nats, postgres, pubsub, redis, s3, sns, sqs`,
		},
		"passwords/kafka": {
			engine.Config{Node: &topology.Node{Name: "stream", Protocol: "kafka"},
				Authenticate: func(string, string) error { return nil }},
			`make kafka engine "stream": it cannot check passwords`,
		},
	} {
		if _, err := New(c.cfg); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func TestALeaderMovesToTheNextReplica(t *testing.T) {
	for name, c := range map[string]struct {
		replicas []int32
		leader   int32
		want     []int32
	}{
		"first leads":   {[]int32{0, 1, 2}, 0, []int32{1, 2, 0}},
		"last leads":    {[]int32{0, 1, 2}, 2, []int32{0, 1, 2}},
		"one copy":      {[]int32{2}, 2, []int32{0}},
		"nobody leads":  {[]int32{1, 2, 0}, -1, []int32{1, 2, 0}},
		"two of three":  {[]int32{2, 0}, 2, []int32{0, 2}},
		"order is kept": {[]int32{2, 1, 0}, 1, []int32{0, 2, 1}},
	} {
		if diff := cmp.Diff(c.want, after(c.replicas, c.leader, 3)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	led := map[spot]int32{{"a", 0}: 2, {"a", 1}: 1, {"b", 0}: 2, {"b", 1}: -1}
	if got := foremost(led, 3); got != 2 {
		t.Errorf("foremost/two of four/got %d", got)
	}
}
