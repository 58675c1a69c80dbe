package topology

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseValue(t *testing.T) {
	cases := map[string]struct {
		text string
		want Value
	}{
		"value/plain/itself":      {"a b", Value{{Text: "a b"}}},
		"value/empty/nothing":     {"", nil},
		"value/dollar/one":        {"5$$ $$", Value{{Text: "5$ $"}}},
		"value/wire/its node":     {"x $wire( stream )", Value{{Text: "x "}, {Wire: "stream"}}},
		"value/variable/its name": {"$env(MY_TOKEN)", Value{{Env: "MY_TOKEN"}}},
		"value/own words/each": {"$listen,$port/$replica",
			Value{{Word: "listen"}, {Text: ","}, {Word: "port"}, {Text: "/"}, {Word: "replica"}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ParseValue(c.text)
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
	for _, text := range []string{"$", "$HOME", "${A}", "$wire()", "$env(A-B)", "$listening", "a $(b)"} {
		if got, err := ParseValue(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}

const ownSystem = `
topology: small
nodes:
  home.app: {kind: fleet, sends: {orders: {to: partner POST /records}}}
  worker:
    kind: service
    command: [./worker, --legacy, $wire(legacy)]
    env: {TOKEN: hush, KEY: $env(KEY)}
    declares: [dead_letter]
    handlers:
      order:
        subscribe: stream/orders
        dead_letter: {attempts: 3}
        do:
          - call: partner POST /records
            retry: {attempts: 4}
            timeout: 1s
  partner:
    kind: cloud
    endpoint: https://sandbox.example.com/v1/
    handlers:
      records:
        http: POST /records
        do: [{call: second POST /seconds}]
  second:
    kind: service
    endpoint: {url: "second.example.com:8443", tls: true, ca: ca.pem, token: TOKEN}
    handlers: {seconds: {http: POST /seconds}}
  legacy: {kind: store, protocol: tcp, image: "legacy:1", ready: {log: up}}
  stream: {kind: broker, protocol: kafka}
flows:
  orders: {path: home.app -> partner}
`

func own(t *testing.T, set ...string) *Topology {
	t.Helper()
	top, diags := Parse(filepath.Join("dir", "small.yaml"), []byte(ownSystem), Options{Set: set})
	if !diags.Empty() {
		t.Fatal(diags.String())
	}
	return top
}

func TestOwnPrograms(t *testing.T) {
	top := own(t, "worker.env.TOKEN=hush-hush", "worker.ready.within=5s")
	want := map[string]*Own{
		"worker": {
			Command: []Value{{{Text: "./worker"}}, {{Text: "--legacy"}}, {{Wire: "legacy"}}},
			Dir:     "dir", Env: map[string]Value{"TOKEN": {{Text: "hush-hush"}}, "KEY": {{Env: "KEY"}}},
			Ready: Ready{Within: 5e9}, StopWithin: DefaultStopWithin, Restart: "never",
			Declares: []string{"dead_letter"},
		},
		"partner": {
			Endpoint: &Endpoint{Address: "sandbox.example.com:443", Scheme: "https", Path: "/v1", TLS: true},
			Dir:      "dir", Ready: Ready{Within: DefaultReadyWithin}, StopWithin: DefaultStopWithin,
			Restart: "never",
		},
		"second": {
			Endpoint: &Endpoint{Address: "second.example.com:8443", TLS: true, CA: "dir/ca.pem", Token: "TOKEN"},
			Dir:      "dir", Ready: Ready{Within: DefaultReadyWithin}, StopWithin: DefaultStopWithin,
			Restart: "never",
		},
		"legacy": {
			Image: "legacy:1", Dir: "dir", Ready: Ready{Log: "up", Within: DefaultReadyWithin},
			StopWithin: DefaultStopWithin, Restart: "never",
		},
	}
	got := map[string]*Own{}
	for _, n := range top.Nodes {
		if n.Own != nil {
			got[n.Name] = n.Own
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("programs (-want +got):\n%s", diff)
	}
	if n := own(t, "legacy.command=./legacy").Node("legacy"); n.Own.Image != "" {
		t.Errorf("the image that a command has taken the place of is still there: %+v", n.Own)
	}
}

func TestOwnProgramsAndTheirWires(t *testing.T) {
	want := []Wire{{"home.app", "partner"}, {"worker", "legacy"}, {"worker", "partner"}, {"worker", "stream"}}
	if diff := cmp.Diff(want, own(t).Wires()); diff != "" {
		t.Errorf("wires (-want +got):\n%s", diff)
	}
}

func TestPromisesOfOwnPrograms(t *testing.T) {
	h := own(t).Node("worker").Handlers[0]
	if h.Policy.DeadLetter == nil || h.Do[0].Policy.Retry != nil || h.Do[0].Policy.Timeout != 0 {
		t.Errorf("declared is dead_letter alone, promised are %+v and %+v", h.Policy, h.Do[0].Policy)
	}
}

func TestNotes(t *testing.T) {
	var got []string
	for _, note := range own(t).Notes() {
		words := strings.Fields(note)
		got = append(got, strings.Join(words[:3], " "))
	}
	want := []string{
		"worker runs a", "worker declares dead_letter:", "partner runs a", "partner runs elsewhere:",
		"second runs a", "legacy runs a",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

func TestValuesOfTheEnvironmentAreNotSaved(t *testing.T) {
	text, err := json.Marshal(own(t))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "hush") {
		t.Error("a saved topology holds the value of a variable")
	}
	var again Topology
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(own(t).Wires(), again.Wires()); diff != "" {
		t.Errorf("wires of a saved topology (-want +got):\n%s", diff)
	}
}
