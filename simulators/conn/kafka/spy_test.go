package kafka

import (
	"context"
	"encoding/binary"
	"net"
	"sync"

	"github.com/segmentio/kafka-go/protocol"

	"github.com/faultline-sim/faultline/topology/wire"
)

// spy is a dialer that counts the requests of each connection and stands before the answers to
// commits.
type spy struct {
	wire.Dialer
	commit func(answer []byte) // is shown each answer, may hold it and may change it

	mu    sync.Mutex
	conns []*spied
}

// spied is one connection.
type spied struct {
	net.Conn
	spy *spy

	mu    sync.Mutex
	asked map[protocol.ApiKey]int
	last  protocol.ApiKey
	left  int // bytes of the last request that were not written yet
}

func (s *spy) DialAddr(ctx context.Context, network, addr string) (net.Conn, error) {
	dialled, err := s.Dialer.DialAddr(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &spied{Conn: dialled, spy: s, asked: map[protocol.ApiKey]int{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c)
	return c, nil
}

func (c *spied) Write(b []byte) (int, error) {
	c.note(b)
	return c.Conn.Write(b)
}

// note reads the headers of the requests in b: four bytes of length, two of the API's key.
func (c *spied) note(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(b) > c.left {
		b = b[c.left:]
		c.last = protocol.ApiKey(binary.BigEndian.Uint16(b[4:]))
		c.left = 4 + int(binary.BigEndian.Uint32(b))
		c.asked[c.last]++
	}
	c.left -= len(b)
}

func (c *spied) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	last := c.last
	c.mu.Unlock()
	if n > 0 && last == protocol.OffsetCommit && c.spy.commit != nil {
		c.spy.commit(b[:n])
	}
	return n, err
}

// requests are by connection how many of each kind it carried.
func (s *spy) requests() []map[protocol.ApiKey]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []map[protocol.ApiKey]int
	for _, c := range s.conns {
		c.mu.Lock()
		asked := map[protocol.ApiKey]int{}
		for key, n := range c.asked {
			asked[key] = n
		}
		c.mu.Unlock()
		all = append(all, asked)
	}
	return all
}

// count is how many requests of a kind all connections carried.
func (s *spy) count(key protocol.ApiKey) int {
	n := 0
	for _, asked := range s.requests() {
		n += asked[key]
	}
	return n
}
