package wire_test

import (
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
)

// serveEcho256 answers 256 bytes with the same, and swallows what comes in other pieces.
func serveEcho256(b *testing.B, f wire.Fabric) {
	ln, err := f.Listen("b", 0)
	if err != nil {
		b.Fatal(err)
	}
	serve(b, ln, func(c net.Conn) {
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			if n == 256 {
				c.Write(buf[:n])
			}
		}
	})
}

// ways are a direct connection, a proxied one, and one whose fault leaves bytes as they are.
func ways(b *testing.B, run func(*testing.B, net.Conn)) {
	f := newFabric(b, wire.Options{Marker: mark})
	serveEcho256(b, f)
	for _, from := range []string{wire.AuditFrom, "proxied", "sliced"} {
		b.Run(from, func(b *testing.B) {
			w := topology.Wire{From: from, To: "b"}
			d := f.Dialer(w, 0)
			if from == "sliced" {
				i := inject(b, f, wire.Fault{
					Wire: w, Kind: wire.Slicer, Bytes: 1 << 20, Replica: -1,
				})
				defer heal(b, i)
			}
			run(b, dial(b, d).Conn)
		})
	}
}

func BenchmarkRoundTrip256(b *testing.B) {
	ways(b, func(b *testing.B, c net.Conn) {
		buf := make([]byte, 256)
		b.ReportAllocs()
		for b.Loop() {
			c.Write(buf)
			if _, err := io.ReadFull(c, buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkHop is what a round trip of 256 bytes costs more over a proxied wire in memory than directly,
// as a share of what it costs more through a Toxiproxy of the library's own. The four take turns, so
// that a machine that is busy for a while is so for all.
func BenchmarkHop(b *testing.B) {
	for b.Loop() {
		ours := wires(b, newFabric(b, wire.Options{Transport: wire.Memory, Marker: mark}))
		stock := wires(b, newFabric(b, wire.Options{Transport: wire.TCP, Marker: mark}))
		stock.proxied = throughStock(b, stock.at)
		const turns, each = 40, 500
		var took [4][]float64
		for range turns {
			for i, c := range []net.Conn{ours.direct, ours.proxied, stock.direct, stock.proxied} {
				took[i] = append(took[i], float64(roundTrips(b, c, each))/each)
			}
		}
		var at [4]float64
		for i, all := range took {
			slices.Sort(all)
			at[i] = all[turns/2]
		}
		b.ReportMetric(at[1]-at[0], "memory-more-ns")
		b.ReportMetric(at[3]-at[2], "stock-more-ns")
		b.ReportMetric((at[1]-at[0])/(at[3]-at[2]), "hop-ratio")
	}
}

// both are a connection to an echo of its own, and one through a proxy.
type both struct {
	at              string
	direct, proxied net.Conn
}

func wires(b *testing.B, f wire.Fabric) both {
	serveEcho256(b, f)
	direct := f.Dialer(topology.Wire{From: wire.AuditFrom, To: "b"}, 0)
	return both{direct.Endpoints()[0], dial(b, direct).Conn, dial(b, f.Dialer(ab, 0)).Conn}
}

// throughStock is a connection to an address through a proxy that the library alone has made.
func throughStock(b *testing.B, addr string) net.Conn {
	b.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := toxiproxy.NewProxy(server, "stock", "127.0.0.1:0", addr)
	if err := p.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Stop)
	c, err := net.Dial("tcp", p.Listen)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c
}

// roundTrips is how long so many take, one after the other.
func roundTrips(b *testing.B, c net.Conn, count int) time.Duration {
	b.Helper()
	buf, begun := make([]byte, 256), time.Now()
	for range count {
		c.Write(buf)
		if _, err := io.ReadFull(c, buf); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(begun)
}

func BenchmarkThroughput(b *testing.B) {
	ways(b, func(b *testing.B, c net.Conn) {
		buf := make([]byte, 64<<10)
		b.SetBytes(int64(len(buf)))
		for b.Loop() {
			if _, err := c.Write(buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func Benchmark200ProxiesMade(b *testing.B) {
	for b.Loop() {
		f := newFabric(b, wire.Options{})
		for n := range 200 {
			node := fmt.Sprint("n", n)
			if err := f.Announce(node, 0, "127.0.0.1:10000"); err != nil {
				b.Fatal(err)
			}
			addresses(b, f.Dialer(topology.Wire{From: "a", To: node}, 0))
		}
		b.StopTimer()
		f.Close()
		b.StartTimer()
	}
}

func BenchmarkDial(b *testing.B) {
	f, d := echoFabric(b)
	for from, d := range map[string]wire.Dialer{
		"direct":  f.Dialer(topology.Wire{From: wire.AuditFrom, To: "b"}, 0),
		"proxied": d,
	} {
		b.Run(from, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c, err := d.Dial(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				c.Close()
			}
		})
	}
}
