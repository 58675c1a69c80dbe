package sqs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/conn/sqs"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
)

// busy is a service that has room for a message only now and then.
type busy struct {
	cfg    engine.Config
	server *http.Server
	code   string       // of the error it answers with
	status int          // with that error
	left   atomic.Int64 // requests to refuse
	stored atomic.Int64
}

func (b *busy) Start(context.Context) error {
	l, err := b.cfg.Host.Listen(0)
	if err != nil {
		return err
	}
	b.server = &http.Server{Handler: b}
	go func() { _ = b.server.Serve(l) }()
	return nil
}

func (b *busy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked struct{ Entries []struct{ Id string } }
	_ = json.NewDecoder(r.Body).Decode(&asked)
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	switch {
	case strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetQueueUrl"):
		fmt.Fprint(w, `{"QueueUrl": "http://localhost/1/events.fifo"}`)
	case b.left.Add(-1) >= 0:
		w.WriteHeader(b.status)
		fmt.Fprintf(w, `{"__type": "com.amazonaws.sqs#%s", "message": "later"}`, b.code)
	default:
		answer := map[string][]map[string]any{}
		for i, e := range asked.Entries {
			if i%2 == 1 { // each second one is to come again
				answer["Failed"] = append(answer["Failed"], map[string]any{
					"Id": e.Id, "Code": b.code, "SenderFault": false,
				})
				continue
			}
			b.stored.Add(1)
			answer["Successful"] = append(answer["Successful"], map[string]any{
				"Id": e.Id, "MessageId": e.Id,
			})
		}
		_ = json.NewEncoder(w).Encode(answer)
	}
}

func (b *busy) Stop(ctx context.Context) error { return b.server.Shutdown(ctx) }
func (b *busy) Kill(context.Context) error     { return b.server.Close() }
func (b *busy) Wipe(context.Context) error     { return nil }
func (b *busy) Info() engine.Info              { return engine.Info{} }
func (b *busy) Close() error                   { return b.server.Close() }

// startBusy is a service that refuses so many requests; its listener is nobody else's.
func startBusy(t *testing.T, status int, code string, left int64) (*sqs.Client, *busy) {
	t.Helper()
	b := &busy{status: status, code: code}
	b.left.Store(left)
	s := conntest.Start(t, func(cfg engine.Config) (engine.Engine, error) {
		b.cfg = cfg
		return b, nil
	}, engine.Config{Node: &topology.Node{Name: "cloud"}})
	c := sqs.New(conn.Config{Dialer: s.Dialer(), Client: "producer"})
	t.Cleanup(func() { c.Close() })
	return c, b
}

func TestThrottling(t *testing.T) {
	for _, code := range []string{
		"RequestThrottled", "ThrottlingException", "ProvisionedThroughputExceededException",
	} {
		t.Run("publish/"+code+"/waits until there is room", func(t *testing.T) {
			c, b := startBusy(t, http.StatusBadRequest, code, 3)
			conntest.Publish(t, c, "events", 8, 0, 5)
			if n := b.stored.Load(); n != 40 {
				t.Errorf("%d stored of 40", n)
			}
		})
	}
	t.Run("publish/throttled to the end/certainly not written", func(t *testing.T) {
		c, _ := startBusy(t, http.StatusBadRequest, "RequestThrottled", 1<<40)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := c.Publish(ctx, "events", conntest.Letter("a", 0))
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, conn.ErrUnknown) ||
			errors.Is(err, conn.ErrRefused) || !strings.Contains(err.Error(), "throttled") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("publish/internal failure/unknown", func(t *testing.T) {
		c, _ := startBusy(t, http.StatusInternalServerError, "InternalFailure", 1<<40)
		_, err := c.Publish(t.Context(), "events", conntest.Letter("a", 0))
		if !errors.Is(err, conn.ErrUnknown) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("publish/wrong credentials/refused, and where", func(t *testing.T) {
		for _, code := range []string{"InvalidClientTokenId", "SignatureDoesNotMatch", "AccessDenied"} {
			c, _ := startBusy(t, http.StatusForbidden, code, 1<<40)
			_, err := c.Publish(t.Context(), "events", conntest.Letter("a", 0))
			if !errors.Is(err, conn.ErrRefused) || !strings.Contains(err.Error(), "client -> cloud") {
				t.Errorf("publish: %v", err)
			}
			if err = c.Connect(t.Context()); !errors.Is(err, conn.ErrRefused) {
				t.Errorf("connect: %v", err)
			}
		}
	})
}
