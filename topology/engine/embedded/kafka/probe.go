package kafka

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/faultline-sim/faultline/topology/engine/embedded/gate"
)

// mostAnswer bounds a metadata answer, in bytes.
const mostAnswer = 64 << 20

// listTopics asks a broker through its gate for all topics. An answer is also the proof that the
// broker serves.
func listTopics(ctx context.Context, g *gate.Gate) ([]string, error) {
	c, err := g.Probe(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()

	ask := kmsg.NewPtrMetadataRequest()
	ask.SetVersion(1) // no topics listed means all from this version on
	if _, err := c.Write(kmsg.NewRequestFormatter().AppendRequest(nil, ask, 1)); err != nil {
		return nil, err
	}
	answer, err := readAnswer(c)
	if err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	metadata := ask.ResponseKind().(*kmsg.MetadataResponse)
	if err := metadata.ReadFrom(answer); err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	var topics []string
	for _, t := range metadata.Topics {
		if t.Topic != nil && !t.IsInternal {
			topics = append(topics, *t.Topic)
		}
	}
	return topics, nil
}

// readAnswer reads one response and takes its correlation id away.
func readAnswer(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 4 || n > mostAnswer {
		return nil, fmt.Errorf("an answer of %d bytes", n)
	}
	answer := make([]byte, n)
	if _, err := io.ReadFull(r, answer); err != nil {
		return nil, err
	}
	return answer[4:], nil
}
