package reports_test

import (
	"time"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/reports"
)

const (
	cloud  = "3rd_party.cloud"
	bridge = "service_platform.bridge"
	stream = "service_platform.core.messaging.stream"
	worker = "service_platform.container.worker2"
	api    = "data_core.data_api"
	lake   = "data_core.datalake"
)

// hostile is what nobody should put in a message's key, and somebody does.
const hostile = "\x1b[2Jkey\r\n<script>alert(1)</script> [x](http://evil.example) | `a` **b** \u202egnp.exe \x00\ufffe\xff"

const ms = int64(time.Millisecond)

// rich is a report with at least one of everything.
func rich() reports.Report {
	return reports.Report{
		Format: 1, Faultline: "v0.1.0", Scenario: "partner-cloud-outage",
		Description: "The partner's cloud goes black for ten seconds.\nDevice, command and query " +
			"flows do not " +
			"notice; what the bridge accepted is not lost, and the bridge is itself again within " +
			"five seconds.\n",
		Topology: "iot-platform", File: "scenarios/library/iot-platform/partner-cloud-outage.yaml",
		Seed: 42,
		Run:  "20261121T203759.123Z-partner-cloud-outage-3f9a2c", Value: assertions.Invalid,
		Verdicts: verdicts(),
		Faults: []reports.Fault{
			{Name: "outage", What: "timeout both on " + cloud + " -> " + bridge,
				From: 5 * time.Second,
				To:   15003 * time.Millisecond, Bite: 412},
			{Name: "idle", What: "latency 300ms both on " + worker + " -> " + api,
				From: 6 * time.Second, To: 8 * time.Second},
			{Name: "stuck", What: "stop on " + worker + " replica 1", From: 16 * time.Second,
				To: -1, Bite: 7},
			{Name: "late", What: "leader_move on " + stream, From: -1, To: -1},
		},
		Flows: []reports.Flow{
			{Name: "telemetry", Asked: 6000, Sent: 6000, Ok: 6000, Sinks: []reports.Sink{
				{Node: lake, Arrived: 6000, P50: 4200 * time.Microsecond,
					P99: 38 * time.Millisecond,
					Max: 212 * time.Millisecond, SLO: "99.9%, p99 500ms"},
				{Node: "data_core.data_warehouse", Arrived: 5999, P50: 1520 * time.Millisecond,
					P99: 2900 * time.Millisecond,
					Max: 3100 * time.Millisecond, SLO: "p99 8s"},
			}},
			{Name: "partner", Asked: 600, Sent: 588, Ok: 571, Sinks: []reports.Sink{
				{Node: api, Arrived: 570, P50: 9 * time.Millisecond, P99: 14200 * time.Millisecond,
					Max: 15 * time.Second},
			}},
			{Name: "audit", Sent: 3, Ok: 3},
		},
		Phases: []reports.Phase{{Name: "steady", From: 400 * time.Millisecond,
			To: 5400 * time.Millisecond}},
		Engines: []reports.Engine{
			{Node: stream, Set: "embedded", Name: "kfake", Version: "v0.0.0-20260918", Imitation: true,
				Worth: "protocol, ordering and consumer groups; it does not vouch for durability " +
					"under power loss"},
			{Node: lake, Set: "container", Name: "moto", Version: "5.1.22", Imitation: true,
				Worth: "S3 requests and answers"},
		},
		Usage: []reports.Usage{{Node: lake, PeakCPU: 412, PeakMemory: 96_468_992}},
		Suspects: []reports.Suspect{
			{Where: cloud + " -> " + bridge, Score: 0.97,
				Evidence: "412 calls over it had no answer between 5s and 15s"},
			{Where: bridge, Score: 0.21, Evidence: "its retries ended on other wires too"},
		},
		Nodes: []string{
			cloud, bridge, stream, worker, "service_platform.container.worker1", api, lake,
			"data_core.data_warehouse", "device.hw", "device.app", "3rd_party.hw", "3rd_party.app",
		},
		Predicted: map[string][]string{"outage": {"partner"}},
		Wires:     22, Messages: 6591, Events: 81234, Shed: 12, Took: 31417 * time.Millisecond,
		Clock: &reports.Clock{
			Time: "virtual", Worth: "judges order and loss, and vouches for no capacity",
			Digest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		},
		Transport: "virtual",
		Repeat:    "faultline run scenarios/library/iot-platform/partner-cloud-outage.yaml --seed 42",
		Folder:    "runs/20261121T203759.123Z-partner-cloud-outage-3f9a2c",
	}
}

func verdicts() []assertions.Verdict {
	return []assertions.Verdict{
		{Name: "delivery[telemetry]", Property: "delivery", Flow: "telemetry",
			Value:   assertions.Valid,
			Summary: "6000 accepted messages, 12000 obligations: 12000 found",
			Figures: []assertions.Figure{{Name: "found", Value: 12000, Unit: "messages"}},
			Engines: []string{"kafka: kfake v0.0.0-20260918 (imitation)"}},
		{Name: "isolation", Property: "isolation", Value: assertions.Valid,
			Summary: "declared [partner], predicted [partner], measured [partner]: 3 flows " +
				"outside keep their SLO from 5s " +
				"to 17s, none loses more than 1% against its steady phase, and the slowest has a " +
				"p99 of 41ms"},
		{Name: "delivery[partner]", Property: "delivery", Flow: "partner",
			Value:     assertions.Invalid,
			Summary:   "571 accepted messages, 571 obligations: 1 lost",
			Anomalies: []assertions.Anomaly{lost(), duplicated()}, More: 3},
		{Name: "order[partner]", Property: "order", Flow: "partner", Value: assertions.Unknown,
			Summary: "no two messages of one key at a sink", Unknown: "messages that share a key"},
		{Name: "retry[bridge.webhook/call " + api + "]", Property: "retry",
			Value:   assertions.Invalid,
			Summary: "9 tries where 4 are declared, over " + worker + " -> " + api,
			Anomalies: []assertions.Anomaly{{Kind: "over-retried", Message: -1,
				Where: worker + " -> " + api,
				Text:  "9 tries of one delivery, 4 are declared"}}},
		{Name: "trace[" + hostile + "]", Property: "trace", Flow: hostile, Value: assertions.Valid,
			Summary: hostile},
	}
}

// lost is an anomaly with more events than a terminal shows.
func lost() assertions.Anomaly {
	e := history.New(history.Produce, 5_100*ms)
	e.Flow, e.Message, e.Key, e.KeySeq, e.Node, e.Replica = "partner", 17, hostile, 3,
		"3rd_party.hw", 4
	events := []history.Event{e}
	for attempt := range int32(8) {
		e := history.New(history.Call, 5_400*ms+int64(attempt)*750*ms)
		e.Flow, e.Message, e.Node, e.Handler, e.Step = "partner", 17, bridge, "webhook",
			"publish "+stream+"/events"
		e.Wire, e.Attempt, e.Outcome, e.Reason = bridge+" -> "+stream, attempt+1, history.Fail,
			"timeout"
		e.Duration = 300*ms + 1234
		events = append(events, e)
	}
	return assertions.Anomaly{Kind: "lost", Flow: "partner", Message: 17, Events: events,
		Text: "accepted by " + bridge + " at 5.102s, not found at " + api +
			", in no dead-letter channel, last seen at " +
			worker + ".events, which gave up after 8 tries"}
}

func duplicated() assertions.Anomaly {
	e := history.New(history.Found, 30_000*ms)
	e.Flow, e.Message, e.Node, e.Value = "partner", 40, api, 2
	return assertions.Anomaly{Kind: "duplicated", Flow: "partner", Message: 40, Where: api,
		Text:   "found 2 times",
		Events: []history.Event{e}}
}
