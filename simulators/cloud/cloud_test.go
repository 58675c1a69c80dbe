package cloud_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/cloud"
	"github.com/faultline-sim/faultline/simulators/conn/httpx"
	"github.com/faultline-sim/faultline/simulators/record"
	"github.com/faultline-sim/faultline/simulators/service"
	"github.com/faultline-sim/faultline/simulators/service/fake"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
)

func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		partner := &topology.Node{
			Name: "partner", Kind: topology.Cloud, Replicas: 2,
			Quota: &policy.RateLimit{Count: 2, Per: time.Second},
			Handlers: []*topology.Handler{{
				Name: "accept", HTTP: "POST /readings", Concurrency: 1, Order: "key", Ack: "before_work",
			}},
		}
		env := &simulators.Env{
			Topology: &topology.Topology{Nodes: []*topology.Node{partner}},
			Fabric:   new(fake.Fabric), Recorder: record.Off(), Key: make([]byte, 32),
		}
		c, err := cloud.New(service.Config{Env: env, Node: partner, Clients: fake.Clients{}})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		client := httpx.NewClient(env.Fabric.Dialer(topology.Wire{From: "hw", To: "partner"}, 0))
		ask := func() int {
			got, err := client.Do(t.Context(), "POST", "/readings", nil)
			if err != nil {
				t.Fatal(err)
			}
			return got.Status
		}
		got := []int{ask(), ask(), ask()}
		time.Sleep(time.Second)
		got = append(got, ask())
		if diff := cmp.Diff([]int{202, 202, 429, 202}, got); diff != "" {
			t.Errorf("quota/third request in a second/refused (-want +got):\n%s", diff)
		}
		client.Close()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}
