package container

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/faultline-sim/faultline/topology/engine/embedded/gate"
)

const (
	// connectWithin is how long a client may take for its first packet.
	connectWithin = 10 * time.Second
	// longestConnect bounds that packet, in bytes.
	longestConnect = 1 << 20
)

// door stands before an MQTT broker: it reads each client's first packet, asks whether that client
// may come in, and carries bytes both ways from then on.
type door struct {
	gate   *gate.Gate
	judge  func(user, password string) error
	broker func(ctx context.Context) (net.Conn, error)
	ctx    context.Context // ends with close
	cancel context.CancelFunc
	all    sync.WaitGroup
}

func openDoor(
	l net.Listener, judge func(user, password string) error,
	broker func(ctx context.Context) (net.Conn, error),
) *door {
	d := &door{gate: gate.New(l), judge: judge, broker: broker}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.all.Go(func() {
		for {
			c, err := d.gate.Accept()
			if err != nil {
				return
			}
			d.all.Go(func() { d.attend(c) })
		}
	})
	return d
}

// bolt lets nobody in any more; connections stay.
func (d *door) bolt() { d.gate.Close() }

// close ends all connections and returns when nothing of the door is left.
func (d *door) close() {
	d.gate.Close()
	d.cancel()
	d.gate.Drop(true)
	d.all.Wait()
}

// attend sees one client to its end.
func (d *door) attend(client net.Conn) {
	defer client.Close()
	first, err := d.admit(client)
	if err != nil {
		return
	}
	broker, err := d.broker(d.ctx)
	if err != nil {
		return
	}
	defer broker.Close()
	defer context.AfterFunc(d.ctx, func() { broker.Close() })()
	if _, err := broker.Write(first.packet); err != nil {
		return
	}
	var ways sync.WaitGroup
	ways.Go(func() { carry(broker, first.rest, client) })
	ways.Go(func() { carry(client, broker, broker) })
	ways.Wait()
}

// carry copies until an end, and passes the end on by closing both.
func carry(to net.Conn, from io.Reader, source net.Conn) {
	_, _ = io.Copy(to, from) // how a connection ended is no news to the engine
	to.Close()
	source.Close()
}

// admitted is a client that may come in: its first packet, and what follows.
type admitted struct {
	packet []byte
	rest   io.Reader
}

var errRefused = errors.New("the client may not come in")

// admit reads the CONNECT packet and judges who sends it. Who is refused is told so.
//
// Source: OASIS MQTT 3.1.1, sections 3.1 and 3.2.2.3 (return code 5, not authorized); MQTT 5.0,
// section 3.2.2.2 (reason code 0x87).
func (d *door) admit(client net.Conn) (admitted, error) {
	if err := client.SetReadDeadline(time.Now().Add(connectWithin)); err != nil {
		return admitted{}, err
	}
	in := bufio.NewReader(client)
	raw, packet, err := readConnect(in)
	if err != nil {
		return admitted{}, err
	}
	if err := client.SetReadDeadline(time.Time{}); err != nil {
		return admitted{}, err
	}
	c := packet.Connect
	if d.judge(string(c.Username), string(c.Password)) != nil {
		refusal := []byte{packets.Connack << 4, 2, 0, 5}
		if packet.ProtocolVersion == 5 {
			refusal = []byte{packets.Connack << 4, 3, 0, 0x87, 0}
		}
		_, err := client.Write(refusal)
		return admitted{}, errors.Join(errRefused, err)
	}
	if in.Buffered() == 0 {
		return admitted{raw, client}, nil // the kernel may carry the rest
	}
	return admitted{raw, in}, nil
}

// readConnect is a client's first packet, as it came and as it is understood.
func readConnect(in *bufio.Reader) (raw []byte, p packets.Packet, err error) {
	head, err := in.ReadByte()
	if err != nil {
		return nil, p, err
	}
	if err := p.FixedHeader.Decode(head); err != nil {
		return nil, p, fmt.Errorf("read CONNECT: %w", err)
	}
	if p.FixedHeader.Type != packets.Connect {
		return nil, p, fmt.Errorf("read CONNECT: the first packet is of type %d", p.FixedHeader.Type)
	}
	size, _, err := packets.DecodeLength(in)
	if err != nil || size > longestConnect {
		return nil, p, fmt.Errorf("read CONNECT of %d bytes: %w", size, err)
	}
	p.FixedHeader.Remaining = size
	body := make([]byte, size)
	if _, err := io.ReadFull(in, body); err != nil {
		return nil, p, fmt.Errorf("read CONNECT: %w", err)
	}
	var whole bytes.Buffer
	p.FixedHeader.Encode(&whole)
	whole.Write(body)
	if err := p.ConnectDecode(body); err != nil {
		return nil, p, fmt.Errorf("read CONNECT: %w", err)
	}
	return whole.Bytes(), p, nil
}
