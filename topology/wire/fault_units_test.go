package wire

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFaultUnits(t *testing.T) {
	const meter = `{"name":"x-meter-upstream","type":"faultline_meter","stream":"upstream",` +
		`"toxicity":1,"attributes":{"counts":"markers","marker":"m"}}`
	one := func(kind, typ, attributes string) string {
		return `{"name":"x-` + kind + `-upstream","type":"` + typ +
			`","stream":"upstream","toxicity":1,"attributes":` + attributes + `}`
	}
	for name, test := range map[string]struct {
		fault Fault
		want  string // the toxics as JSON, or the error
	}{
		"latency/milliseconds/taken": {
			Fault{Kind: Latency, Latency: 1500 * time.Millisecond},
			"[" + meter + "," + one("latency", "latency", `{"jitter":0,"latency":1500}`) + "]",
		},
		"latency/part of a millisecond/refused": {
			Fault{Kind: Latency, Latency: 1500 * time.Microsecond},
			"latency 1.5ms is not possible: at least 1, in whole steps of 1ms",
		},
		"latency/negative/refused": {
			Fault{Kind: Latency, Latency: -time.Second},
			"latency -1s is not possible: at least 1, in whole steps of 1ms",
		},
		"bandwidth/no whole kilobytes/rounded down": {
			Fault{Kind: Bandwidth, BytesPerSecond: 65536},
			"[" + meter + "," + one("bandwidth", "bandwidth", `{"rate":65}`) + "]",
		},
		"bandwidth/below a kilobyte/refused": {
			Fault{Kind: Bandwidth, BytesPerSecond: 999},
			"999 bytes a second is not possible: at least 1000",
		},
		"slicer/microseconds/taken": {
			Fault{Kind: Slicer, Bytes: 10, Latency: 2 * time.Millisecond},
			"[" + meter + "," + one("slicer", "slicer",
				`{"average_size":10,"delay":2000,"size_variation":0}`) + "]",
		},
		"slicer/no bytes/refused": {
			Fault{Kind: Slicer}, "0 bytes is not possible: at least 1",
		},
		"limit_data/bytes/taken": {
			Fault{Kind: LimitData, Bytes: 7},
			"[" + one("limit_data", "faultline_limit", `{"bytes":7,"marker":"m"}`) + "]",
		},
		"timeout/any/taken": {
			Fault{Kind: Timeout},
			"[" + one("timeout", "faultline_stall", `{"marker":"m"}`) + "]",
		},
		"cut/any/no toxics": {Fault{Kind: Cut}, "null"},
		"kind/unknown/refused": {
			Fault{Kind: "jam"}, `kind "jam" is not known`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.fault.Direction = Requests
			toxics, err := test.fault.toxics("x", "m")
			text, _ := json.Marshal(toxics) // plain values
			got := string(text)
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
