package wire_test

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
)

// names are the proxies that the API shows, in order.
func names(t testing.TB, f wire.Fabric) []string {
	t.Helper()
	proxies, err := toxiproxy.NewClient(f.API()).Proxies()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for name := range proxies {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func TestProxyNames(t *testing.T) {
	overSockets(t)
	count := func(node string) int { return map[string]int{"b": 2}[node] }
	for name, test := range map[string]struct {
		opt  wire.Options
		want []string
	}{
		"names/counts unknown/plain from 1 on": {
			wire.Options{}, []string{"a -> b", "a -> b[1]", "a[1] -> b", "a[1] -> b[1]"},
		},
		"names/counts known/all have numbers": {
			wire.Options{Replicas: count},
			[]string{"a -> b[0]", "a -> b[1]", "a[1] -> b[0]", "a[1] -> b[1]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFabric(t, test.opt)
			for replica := range 2 {
				serveEcho(t, f, "b", replica)
			}
			for near := range 2 {
				addrs, err := f.Dialer(ab, near).(wire.Proxied).Addresses(t.Context())
				if err != nil || len(addrs) != 2 {
					t.Fatalf("addresses %v, %v", addrs, err)
				}
			}
			if diff := cmp.Diff(test.want, names(t, f)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The standard client drives a live fabric, whatever a node is called, and what it changed is told.
func TestOutsidersChangesAreTold(t *testing.T) {
	overSockets(t)
	var mu sync.Mutex
	var told []wire.Change
	f := newFabric(t, wire.Options{Marker: mark, OnControl: func(c wire.Change) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, c)
	}})
	odd := topology.Wire{From: "a/100% \"서비스\"", To: "b"}
	serveEcho(t, f, "b", 0)
	d := f.Dialer(odd, 0)
	c := dial(t, d)
	ours, err := f.Inject(t.Context(), wire.Fault{
		Name: "ours", Wire: odd, Kind: wire.Bandwidth, BytesPerSecond: 1e6, Replica: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	name := names(t, f)[0]
	client := toxiproxy.NewClient(f.API())
	client.UserAgent = "cli"
	p, err := client.Proxy(name)
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err = p.AddToxic("", "faultline_stall", upstream, 1, nil)
	must(err)
	c.Write([]byte("held\n"))
	must(p.RemoveToxic("faultline_stall_upstream"))
	if got := c.hear(); got != "b[0] held" {
		t.Errorf("heard %q", got)
	}
	if err := p.RemoveToxic("no such toxic"); err == nil {
		t.Error("removed a toxic that is not there")
	}
	must(p.Save())
	must(p.Disable())
	if _, err := d.Dial(t.Context()); err == nil {
		t.Error("dialled over a disabled proxy")
	}
	must(p.Enable())
	must(client.ResetState())
	heal(t, ours)
	if got := dial(t, d).ask("hi"); got != "b[0] hi" {
		t.Errorf("heard %q", got)
	}
	_, err = client.CreateProxy("own", "127.0.0.1:"+strconv.Itoa(freePort(t, f)), "127.0.0.1:1")
	must(err)
	want := []wire.Change{
		{Action: "add toxic", Proxy: name, Toxic: "faultline_stall_upstream"},
		{Action: "remove toxic", Proxy: name, Toxic: "faultline_stall_upstream"},
		{Action: "disable", Proxy: name},
		{Action: "enable", Proxy: name},
		{Action: "reset"},
		{Action: "create proxy", Proxy: "own"},
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(want, told, cmpopts.IgnoreFields(wire.Change{}, "Detail", "By")); diff != "" {
		t.Error(diff)
	}
	if host, agent, _ := strings.Cut(told[0].By, " "); agent != "cli" {
		t.Errorf("by %q of %q", agent, host)
	}
	if !strings.Contains(told[0].Detail, `"type":"faultline_stall"`) {
		t.Errorf("detail is %q", told[0].Detail)
	}
}

const upstream = "upstream"

func freePort(t testing.TB, f wire.Fabric) int {
	t.Helper()
	port, err := f.Port("free", 0)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestAPIPort(t *testing.T) {
	overSockets(t)
	f := newFabric(t, wire.Options{})
	port := freePort(t, f)
	_, err := wire.New(wire.Options{APIPort: port})
	if err == nil || !strings.Contains(err.Error(), "start toxiproxy api: claim port "+
		strconv.Itoa(port)) || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("on a port in use: %v", err)
	}
	host, _, err := net.SplitHostPort(f.API())
	if err != nil || host != "127.0.0.1" {
		t.Errorf("the API listens at %q", f.API())
	}
}

// What an outsider does through the API meets connections that are open, and new ones, whatever
// carries their bytes.
func TestOutsidersChangesReachConnections(t *testing.T) {
	overSockets(t)
	f := newFabric(t, wire.Options{Marker: mark})
	serveEcho(t, f, "b", 0)
	other := serveEcho(t, f, "c", 0)
	d := f.Dialer(ab, 0)
	open := dial(t, d)
	if got := open.ask("hi"); got != "b[0] hi" {
		t.Fatalf("heard %q", got)
	}
	p, err := toxiproxy.NewClient(f.API()).Proxy("a -> b")
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(p.Disable())
	if got := open.ask("still there?"); strings.HasPrefix(got, "b[0]") {
		t.Errorf("a connection over a disabled proxy answers %q", got)
	}
	must(p.Enable())
	_, err = p.AddToxic("hard", "reset_peer", "downstream", 1, toxiproxy.Attributes{"timeout": 0})
	must(err)
	if got := dial(t, d).ask("hi"); strings.HasPrefix(got, "b[0]") {
		t.Errorf("a connection that is reset answers %q", got)
	}
	must(p.RemoveToxic("hard"))
	if got := dial(t, d).ask("hi"); got != "b[0] hi" {
		t.Errorf("after the reset: heard %q", got)
	}
	was := p.Upstream
	p.Upstream = other.Addr().String()
	must(p.Save())
	if got := dial(t, d).ask("hi"); got != "c[0] hi" {
		t.Errorf("led to another: heard %q", got)
	}
	p.Upstream = was
	must(p.Save())
	if got := dial(t, d).ask("hi"); got != "b[0] hi" {
		t.Errorf("led back: heard %q", got)
	}
}
