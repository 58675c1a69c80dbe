package container

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mochi-mqtt/server/v2/packets"
)

// connectOf is a CONNECT packet.
func connectOf(t testing.TB, version byte, user, password string) []byte {
	t.Helper()
	p := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Connect}, ProtocolVersion: version,
		Connect: packets.ConnectParams{
			ProtocolName: []byte("MQTT"), ClientIdentifier: "device", Keepalive: 30,
			UsernameFlag: user != "", Username: []byte(user),
			PasswordFlag: password != "", Password: []byte(password),
		},
	}
	var b bytes.Buffer
	if err := p.ConnectEncode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// doorBefore is a door on a socket, before a broker that echoes.
func doorBefore(t *testing.T) (addr string, d *door) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	judge := func(user, password string) error {
		if user == "device" && password == "비밀" {
			return nil
		}
		return errors.New("who is that")
	}
	d = openDoor(l, judge, func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			io.Copy(far, far)
			far.Close()
		}()
		return near, nil
	})
	t.Cleanup(d.close)
	return l.Addr().String(), d
}

func TestTheDoor(t *testing.T) {
	for name, c := range map[string]struct {
		send []byte
		want []byte // nil is what was sent
	}{
		"known/let in":               {append(connectOf(t, 4, "device", "비밀"), 0xc0, 0), nil},
		"known/version 5/let in":     {connectOf(t, 5, "device", "비밀"), nil},
		"stranger/refused":           {connectOf(t, 4, "device", "guess"), []byte{0x20, 2, 0, 5}},
		"no name/refused":            {connectOf(t, 4, "", ""), []byte{0x20, 2, 0, 5}},
		"stranger/version 5/refused": {connectOf(t, 5, "x", "y"), []byte{0x20, 3, 0, 0x87, 0}},
		"no CONNECT/closed":          {[]byte{0xc0, 0}, []byte{}},
		"no MQTT/closed":             {[]byte("GET / HTTP/1.1\r\n\r\n"), []byte{}},
		"too long/closed":            {[]byte{0x10, 0xff, 0xff, 0xff, 0x7f}, []byte{}},
	} {
		t.Run(name, func(t *testing.T) {
			addr, _ := doorBefore(t)
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write(c.send); err != nil {
				t.Fatal(err)
			}
			want := c.want
			if want == nil {
				want = c.send
			}
			got := make([]byte, len(want))
			if _, err := io.ReadFull(conn, got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if c.want != nil && !endOf(conn) {
				t.Error("want the connection closed")
			}
		})
	}
}

// endOf says that the far end closes a connection without a further byte.
func endOf(c net.Conn) bool {
	_, err := c.Read(make([]byte, 1))
	return err != nil
}

func TestABoltedDoorKeepsThoseInside(t *testing.T) {
	addr, d := doorBefore(t)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	connect := connectOf(t, 4, "device", "비밀")
	if _, err := conn.Write(connect); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, len(connect))); err != nil {
		t.Fatal(err)
	}
	d.bolt()
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("bolted/a newcomer/want it refused")
	}
	if _, err := conn.Write([]byte{1}); err != nil {
		t.Error("bolted/one inside/", err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Error("bolted/one inside/", err)
	}
	d.close()
	if !endOf(conn) {
		t.Error("closed/one inside/want it dropped")
	}
}

func FuzzReadConnect(f *testing.F) {
	f.Add(connectOf(f, 4, "device", "비밀"))
	f.Add(connectOf(f, 5, "", ""))
	f.Add([]byte{0x10, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		raw, p, err := readConnect(bufio.NewReader(bytes.NewReader(in)))
		if err != nil {
			return
		}
		again, q, err := readConnect(bufio.NewReader(bytes.NewReader(raw)))
		same := bytes.Equal(raw, again) && bytes.Equal(p.Connect.Username, q.Connect.Username)
		if err != nil || !same {
			t.Errorf("% x is read as % x, and that as % x (%v)", in, raw, again, err)
		}
	})
}
