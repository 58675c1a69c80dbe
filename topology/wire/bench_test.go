package wire_test

import (
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
)

// ways are a direct connection, a proxied one, and one whose fault leaves bytes as they are.
func ways(b *testing.B, run func(*testing.B, net.Conn)) {
	f := newFabric(b, wire.Options{Marker: mark})
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
