package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/faultline-sim/faultline/topology/engine"
)

// mosquitto is the broker's configuration. Sessions and what waits in them are written each two
// seconds and at an orderly stop: a kill loses what was acknowledged since. Saving on each change
// would write the whole file for each message. No session drops a message for want of room.
const mosquitto = `listener 1883 0.0.0.0
allow_anonymous true
persistence true
persistence_location /mosquitto/data/
autosave_interval 1
max_queued_messages 0
max_inflight_messages 1000
set_tcp_nodelay true
sys_interval 0
log_dest stdout
log_type error
log_type warning
log_type notice
connection_messages false
`

// mqtt is a Mosquitto broker. Where clients must log in, a door in this process judges them before
// the broker sees a byte: the broker itself lets everyone in.
type mqtt struct {
	*Engine
	door *door // nil while stopped, and where everyone may come in
}

func newMQTT(e *Engine) (engine.Engine, error) {
	e.behind = e.cfg.Authenticate != nil
	e.product = product{
		port: 1883, data: "/mosquitto/data", signal: "SIGTERM", asked: "a CONNACK",
		dress: func(*member) dress {
			return dress{files: map[string]string{"/mosquitto/config/mosquitto.conf": mosquitto}}
		},
		probe: e.probing(connack),
	}
	return &mqtt{Engine: e}, nil
}

// Start opens the door when the broker answers.
func (e *mqtt) Start(ctx context.Context) error {
	if err := e.Engine.Start(ctx); err != nil || !e.behind {
		return err
	}
	l, err := e.cfg.Host.Listen(0)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for mqtt: %w", err), e.Engine.endAfter(ctx))
	}
	broker := func(ctx context.Context) (net.Conn, error) { return e.dial(ctx, e.members[0]) }
	e.door = openDoor(l, e.cfg.Authenticate, broker)
	return nil
}

// Stop ends the broker in order; connections end with it.
func (e *mqtt) Stop(ctx context.Context) error {
	e.bolt()
	defer e.shut()
	return e.Engine.Stop(ctx)
}

// Kill ends the broker as by kill -9.
func (e *mqtt) Kill(ctx context.Context) error {
	e.bolt()
	defer e.shut()
	return e.Engine.Kill(ctx)
}

// Close removes all.
func (e *mqtt) Close() error {
	e.shut()
	return e.Engine.Close()
}

// bolt lets nobody in any more.
func (e *mqtt) bolt() {
	if e.door != nil {
		e.door.bolt()
	}
}

// shut ends what is left of the door.
func (e *mqtt) shut() {
	if e.door != nil {
		e.door.close()
		e.door = nil
	}
}

// DisconnectAll resets every connection at the door, or inside the broker's network where there is
// none.
func (e *mqtt) DisconnectAll(ctx context.Context) (int, error) {
	if e.door == nil {
		return e.Engine.DisconnectAll(ctx)
	}
	return e.door.gate.Drop(true), nil
}

// connack asks for a session and leaves it in order.
//
// Source: OASIS MQTT 3.1.1, sections 3.1, 3.2 and 3.14.
func connack(_ context.Context, c net.Conn) error {
	connect := packets.Packet{
		FixedHeader:     packets.FixedHeader{Type: packets.Connect},
		ProtocolVersion: 4,
		Connect: packets.ConnectParams{
			ProtocolName: []byte("MQTT"), Clean: true, Keepalive: 60,
			ClientIdentifier: "faultline-probe",
		},
	}
	var ask bytes.Buffer
	if err := connect.ConnectEncode(&ask); err != nil {
		return err
	}
	if _, err := c.Write(ask.Bytes()); err != nil {
		return err
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(c, answer); err != nil {
		return fmt.Errorf("read CONNACK: %w", err)
	}
	if answer[0]>>4 != packets.Connack || answer[3] != 0 {
		return fmt.Errorf("CONNECT was answered % x", answer)
	}
	_, err := c.Write([]byte{packets.Disconnect << 4, 0})
	return err
}

var _ engine.Disconnecter = (*mqtt)(nil)
