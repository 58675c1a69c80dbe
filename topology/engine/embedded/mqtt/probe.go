package mqtt

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/faultline-sim/faultline/topology/engine/embedded/gate"
)

// newPass is a user name that nobody outside this process can know.
func newPass() string { return "probe-" + rand.Text() }

// probe asks the broker through its gate whether it answers a CONNECT.
func probe(ctx context.Context, g *gate.Gate, pass string) error {
	c, err := g.Probe(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if _, err := c.Write(connectPacket(pass)); err != nil {
		return err
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(c, answer); err != nil {
		return fmt.Errorf("read CONNACK: %w", err)
	}
	if answer[0]>>4 != packets.Connack || answer[3] != 0 {
		return fmt.Errorf("CONNECT was answered % x", answer)
	}
	return nil
}

func connectPacket(pass string) []byte {
	connect := packets.Packet{
		FixedHeader:     packets.FixedHeader{Type: packets.Connect},
		ProtocolVersion: 4,
		Connect: packets.ConnectParams{
			ProtocolName:     []byte("MQTT"),
			Clean:            true,
			ClientIdentifier: pass,
			Keepalive:        60,
			UsernameFlag:     true,
			Username:         []byte(pass),
		},
	}
	var b bytes.Buffer
	_ = connect.ConnectEncode(&b) // a buffer takes all
	return b.Bytes()
}
