package process_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
)

// told answers with what it was asked.
func told(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s %s", r.Host, r.URL.Path, r.Header.Get("Authorization"))
}

func TestElsewhere(t *testing.T) {
	t.Setenv("SANDBOX_USER", "me")
	t.Setenv("SANDBOX_PASSWORD", "hush")
	t.Setenv("SANDBOX_TOKEN", "t0ken")
	plain := httptest.NewServer(http.HandlerFunc(told))
	defer plain.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(told))
	defer secure.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	host := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	cases := map[string]struct{ own, want string }{
		"endpoint/address/passed on": {
			"endpoint: " + plain.URL, host(plain) + " /records Bearer mine"},
		"endpoint/path/put before": {
			"endpoint: " + plain.URL + "/v1", host(plain) + " /v1/records Bearer mine"},
		"endpoint/token/in place of the caller's": {
			"endpoint: {url: '" + plain.URL + "', token: SANDBOX_TOKEN}",
			host(plain) + " /records Bearer t0ken"},
		"endpoint/encrypted and with a password/checked and given": {
			"endpoint: {url: '" + secure.URL + "', ca: " + ca + ", user: SANDBOX_USER, " +
				"password: SANDBOX_PASSWORD}", host(secure) + " /records Basic bWU6aHVzaA=="},
		"endpoint/host and port alone/bytes as they come": {
			"endpoint: '" + host(plain) + "'", "worker /records Bearer mine"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, c.own)
			s.start()
			got, err := s.ask("/records", "Authorization", "Bearer mine")
			if err != nil || got != c.want {
				t.Errorf("answered %q, %v; want %q", got, err, c.want)
			}
			if diff := cmp.Diff([]string{"code", "ready"}, s.states()); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
		})
	}
}

func TestElsewhereIsNotReached(t *testing.T) {
	secure := httptest.NewTLSServer(http.HandlerFunc(told))
	defer secure.Close()
	there := httptest.NewServer(http.HandlerFunc(told))
	defer there.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	cases := map[string]struct{ own, want string }{
		"endpoint/nobody there/refused":      {"endpoint: " + gone.URL, "connection refused"},
		"endpoint/unknown authority/refused": {"endpoint: " + secure.URL, "failed to verify certificate"},
		"endpoint/credential not set/named": {
			"endpoint: {url: '" + there.URL + "', token: PROCESS_TEST_NOT_SET}",
			"no variable PROCESS_TEST_NOT_SET"},
		"endpoint/no such authority file/named": {
			"endpoint: {url: '" + secure.URL + "', ca: none.pem}", "none.pem"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := newStage(t, c.own).node.Start(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// What is asked of an endpoint goes over the caller's wire: a fault on it is felt.
func TestElsewhereIsCalledOverWires(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(told))
	defer server.Close()
	s := newStage(t, "endpoint: "+server.URL)
	s.start()
	way := topology.Wire{From: "home.app", To: "worker"}
	cut, err := s.env.Fabric.Inject(t.Context(), wire.Fault{
		Name: "cut", Wire: way, Replica: -1, Kind: wire.Cut,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.ask("/records"); err == nil {
		t.Errorf("answered %q over a wire that is cut", got)
	}
	if err := cut.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ask("/records"); err != nil {
		t.Errorf("not answered when the wire was mended: %v", err)
	}
	until(t, "the wire has counted both ways", func() bool {
		up, down := s.env.Fabric.Bytes(way)
		return up > 0 && down > 0
	})
}
