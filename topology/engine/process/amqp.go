package process

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// Classes and methods of AMQP that a probe meets, as one number.
const (
	connectionStart   = 10<<16 | 10
	connectionStartOk = 10<<16 | 11
	connectionTune    = 10<<16 | 30
	connectionTuneOk  = 10<<16 | 31
	connectionOpen    = 10<<16 | 40
	connectionOpenOk  = 10<<16 | 41
	connectionClose   = 10<<16 | 50
	connectionCloseOk = 10<<16 | 51
)

// OpenAMQP goes as far as a channel could be opened on the virtual host "/", as the user guest, and
// leaves in order. The connection is used for nothing else. It gives the broker's version, or
// "unknown" where it does not say.
//
// Source: AMQP 0-9-1, sections 2.2.4, 4.2.2 to 4.2.4, and 1.4 of its reference.
func OpenAMQP(c net.Conn) (version string, err error) {
	version, err = enter(c, "guest")
	if err != nil {
		return version, err
	}
	if err := send(c, connectionClose, []byte("\x00\xc8\x00\x00\x00\x00\x00")); err != nil {
		return version, err
	}
	_, err = expect(c, connectionCloseOk)
	return version, err
}

// enter opens a connection as guest, with a password.
func enter(c net.Conn, password string) (version string, err error) {
	if _, err := io.WriteString(c, "AMQP\x00\x00\x09\x01"); err != nil {
		return "unknown", err
	}
	start, err := expect(c, connectionStart)
	if err != nil {
		return "unknown", err
	}
	version = versionIn(start)
	startOk := longString(nil, "") // no properties
	startOk = shortString(startOk, "PLAIN")
	startOk = longString(startOk, "\x00guest\x00"+password)
	startOk = shortString(startOk, "en_US")
	if err := send(c, connectionStartOk, startOk); err != nil {
		return version, err
	}
	tune, err := expect(c, connectionTune)
	if err != nil {
		return version, err
	}
	if len(tune) < 8 {
		return version, fmt.Errorf("tune has %d bytes", len(tune))
	}
	noHeartbeat := append(bytes.Clone(tune[:6]), 0, 0)
	if err := send(c, connectionTuneOk, noHeartbeat); err != nil {
		return version, err
	}
	if err := send(c, connectionOpen, []byte("\x01/\x00\x00")); err != nil {
		return version, err
	}
	_, err = expect(c, connectionOpenOk)
	return version, err
}

const (
	methodFrame = 1
	frameEnd    = 0xCE
	// longestFrame bounds what a probe reads at once, in bytes.
	longestFrame = 1 << 17
)

// send writes one method on channel 0.
func send(c net.Conn, method uint32, arguments []byte) error {
	frame := []byte{methodFrame, 0, 0}
	frame = binary.BigEndian.AppendUint32(frame, uint32(4+len(arguments)))
	frame = binary.BigEndian.AppendUint32(frame, method)
	frame = append(append(frame, arguments...), frameEnd)
	_, err := c.Write(frame)
	return err
}

// expect reads one method on channel 0, which must be the wanted one, and gives its arguments.
func expect(c net.Conn, want uint32) ([]byte, error) {
	var head [7]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[3:])
	if head[0] != methodFrame || size < 4 || size > longestFrame {
		return nil, fmt.Errorf("it answered %q, which is no method", head)
	}
	body := make([]byte, size+1)
	if _, err := io.ReadFull(c, body); err != nil {
		return nil, err
	}
	method, arguments := binary.BigEndian.Uint32(body), body[4:size]
	switch {
	case body[size] != frameEnd:
		return nil, fmt.Errorf("a frame ends with %#x", body[size])
	case method == connectionClose && want != connectionClose && len(arguments) > 3:
		return nil, fmt.Errorf("it closed the connection: %d %q",
			binary.BigEndian.Uint16(arguments),
			arguments[3:min(len(arguments), 3+int(arguments[2]))])
	case method != want:
		return nil, fmt.Errorf("it sent method %d.%d, want %d.%d", method>>16, method&0xFFFF,
			want>>16, want&0xFFFF)
	}
	return arguments, nil
}

// versionIn finds the version among the server's properties, a string by name.
func versionIn(start []byte) string {
	const name = "\x07versionS"
	_, after, ok := bytes.Cut(start, []byte(name))
	if !ok || len(after) < 4 {
		return "unknown"
	}
	size := binary.BigEndian.Uint32(after)
	if uint64(len(after)) < 4+uint64(size) {
		return "unknown"
	}
	return string(after[4 : 4+size])
}

func shortString(to []byte, text string) []byte {
	return append(append(to, byte(len(text))), text...)
}

func longString(to []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(len(text))), text...)
}
