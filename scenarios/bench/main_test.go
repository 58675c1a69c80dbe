package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMetricsAreRead(t *testing.T) {
	got := metrics{}
	for _, line := range []string{
		"goos: linux",
		"BenchmarkReady-2   \t       1\t8199471365 ns/op\t        29.64 api_gateway-ms\t       764.3 ready-ms",
		"BenchmarkBare 3 12 ns/op 0.5 B/message",
		"PASS",
	} {
		got.read(line)
	}
	want := metrics{
		"Ready ns/op": 8199471365, "Ready api_gateway-ms": 29.64, "Ready ready-ms": 764.3,
		"Bare ns/op": 12, "Bare B/message": 0.5,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestTable(t *testing.T) {
	all := []figure{
		{name: "ratio", metric: "A r", format: "%.1f", bound: least, limit: 0.6},
		{name: "  told", metric: "A n", format: "%.0f /s"},
		{name: "time", metric: "B t", format: "%.0f ms", bound: lessing, limit: 1000},
		{name: "share", metric: "B s", format: "%.2f", bound: most, limit: 1, share: 4},
	}
	var out bytes.Buffer
	met, err := table(&out, all, metrics{"A r": 0.6, "A n": 1234, "B t": 1000, "B s": 4})
	if met || err != nil {
		t.Errorf("met %v, error %v", met, err)
	}
	want := `figure  measured  required   ok
ratio   0.6       ≥ 0.6      yes
  told  1234 /s              
time    1000 ms   < 1000 ms  NO
share   1.00      ≤ 1.00     yes
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	if _, err := table(&out, all, metrics{}); err == nil {
		t.Error("a metric that nobody gave is not missed")
	}
}
