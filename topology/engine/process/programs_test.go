//go:build unix

package process

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/topology/engine"
)

// need skips a test for which a program is missing, unless it is CI that runs it.
func need(t *testing.T, protocol string) {
	t.Helper()
	err := Find(protocol)
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatal(err)
	case err != nil:
		t.Skip(err)
	case testing.Short():
		t.Skip("programs take their time to start")
	}
}

// took tells how long a step took.
func took(t *testing.T, what string, begun time.Time) {
	t.Helper()
	t.Logf("%s took %s", what, time.Since(begun).Round(time.Millisecond))
}

func TestMoto(t *testing.T) {
	for _, protocol := range []string{"kinesis", "s3", "sns", "sqs"} {
		t.Run(protocol, func(t *testing.T) {
			need(t, protocol)
			cfg := config(t, protocol)
			e, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			do(t, e.Start)
			took(t, "start", begun)
			c := childOf(e)
			if v := e.Info().Version; !regexp.MustCompile(`^\d+\.\d+\.\d+`).MatchString(v) {
				t.Errorf("running/version/got %q", v)
			}
			logged := len(c.output.lastLines())
			for range 10 {
				if !answers(t, e.(*Moto).Engine, late) {
					t.Error("running/it does not answer")
				}
			}
			if more := len(c.output.lastLines()) - logged; more > 0 {
				t.Errorf("running/it wrote %d lines about 10 requests", more)
			}
			freezes(t, e.(*Moto).Engine)
			begun = time.Now()
			do(t, e.Stop)
			took(t, "stop", begun)
			if protocol == "sqs" {
				do(t, e.Start, e.Kill, e.Start)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
			nothingLeft(t, cfg, c)
		})
	}
}

// nothingLeft looks for processes and files of an engine that was closed.
func nothingLeft(t *testing.T, cfg engine.Config, c *child) {
	t.Helper()
	if left, err := c.family(); err != nil || len(left) > 0 {
		t.Errorf("closed/processes/left: %v, %v", pids(left), err)
	}
	if left, err := os.ReadDir(cfg.Dir); err != nil || len(left) > 0 {
		t.Errorf("closed/files/left: %v, %v", left, err)
	}
}

func TestRabbitMQ(t *testing.T) {
	need(t, "amqp")
	cfg := config(t, "amqp")
	made, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := made.(*RabbitMQ)
	t.Cleanup(func() { r.Close() })
	begun := time.Now()
	do(t, r.Start)
	took(t, "start", begun)
	port := r.ports[0]
	if v := r.Info().Version; !regexp.MustCompile(`^\d+\.\d+\.\d+`).MatchString(v) {
		t.Errorf("running/version/got %q", v)
	}
	refusesStrangers(t, r)
	dropsConnections(t, r)
	raisesItsAlarm(t, r)
	freezes(t, r.Engine)

	queue := func() string {
		t.Helper()
		said, err := r.eval(t.Context(), `[N || Q <- rabbit_amqqueue:list(),
			{resource, _, queue, N} <- [amqqueue:get_name(Q)]].`)
		if err != nil {
			t.Fatal(err)
		}
		return said
	}
	if _, err := r.eval(t.Context(), `{new, _} = rabbit_amqqueue:declare(
		rabbit_misc:r(<<"/">>, queue, <<"kept">>), true, false, [], none, <<"test">>).`); err != nil {
		t.Fatal(err)
	}
	begun = time.Now()
	do(t, r.Stop)
	took(t, "stop", begun)
	do(t, r.Start)
	if got := queue(); got != `[<<"kept">>]` {
		t.Errorf("stopped and started/durable queues/got %s", got)
	}
	do(t, r.Kill, r.Start)
	if got := queue(); got != `[<<"kept">>]` || r.ports[0] != port {
		t.Errorf("killed and started/durable queues/got %s at %d, was %d", got, r.ports[0], port)
	}
	c := childOf(r)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	nothingLeft(t, cfg, c)
}

// freezes pauses a program that answers.
func freezes(t *testing.T, e *Engine) {
	t.Helper()
	resume, err := e.Pause(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if answers(t, e, soon) {
		t.Error("frozen/it answers")
	}
	do(t, resume)
	if !answers(t, e, late) {
		t.Error("resumed/it does not answer")
	}
}

func refusesStrangers(t *testing.T, r *RabbitMQ) {
	t.Helper()
	c, err := r.cfg.Host.Dial(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(late))
	if _, err := enter(c, "guess"); err == nil {
		t.Error("running/wrong password/it was let in")
	}
}

func dropsConnections(t *testing.T, r *RabbitMQ) {
	t.Helper()
	c, err := r.cfg.Host.Dial(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(late))
	if _, err := enter(c, "guest"); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	n, err := r.DisconnectAll(t.Context())
	took(t, "disconnect", begun)
	if err != nil || n != 1 {
		t.Errorf("disconnect/one client/got %d and %v", n, err)
	}
	reason, err := expect(c, connectionClose)
	if err != nil || !strings.Contains(string(reason), "CONNECTION_FORCED") {
		t.Errorf("disconnect/the client/was told %q, %v", reason, err)
	}
}

func raisesItsAlarm(t *testing.T, r *RabbitMQ) {
	t.Helper()
	alarms := func() string {
		t.Helper()
		said, err := r.eval(t.Context(), "length(rabbit_alarm:get_alarms()).")
		if err != nil {
			t.Fatal(err)
		}
		return said
	}
	begun := time.Now()
	heal, err := r.MemoryAlarm(t.Context())
	took(t, "memory alarm", begun)
	if err != nil || alarms() != "1" {
		t.Fatalf("memory alarm/in force/%s alarms, %v", alarms(), err)
	}
	do(t, heal)
	if n := alarms(); n != "0" {
		t.Errorf("memory alarm/healed/%s alarms", n)
	}
	if _, err := r.eval(t.Context(), "1 = 2."); err == nil {
		t.Error("eval/what fails/want an error")
	}
}

func TestWhatAStoppedBrokerIsAsked(t *testing.T) {
	made, err := New(config(t, "amqp"))
	if err != nil {
		t.Fatal(err)
	}
	r := made.(*RabbitMQ)
	for name, ask := range map[string]func() error{
		"disconnect": func() error { return second(r.DisconnectAll(t.Context())) },
		"alarm":      func() error { return second(r.MemoryAlarm(t.Context())) },
		"pause":      func() error { return second(r.Pause(t.Context())) },
	} {
		if err := ask(); err == nil {
			t.Errorf("%s/stopped/want an error", name)
		}
	}
	if v := r.Info().Version; v != "unknown" {
		t.Errorf("never started/version/got %q", v)
	}
}

// A start that fails says what the program says: here that its port is taken.
func TestABrokerWhosePortIsTaken(t *testing.T) {
	need(t, "amqp")
	cfg := config(t, "amqp")
	l, err := cfg.Host.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	err = e.Start(t.Context())
	var p *engine.Problem
	if !errors.Is(err, ErrDied) || !errors.As(err, &p) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"eaddrinuse", fmt.Sprint(e.(*RabbitMQ).ports[0])} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %s: %v", want, err)
		}
	}
}
