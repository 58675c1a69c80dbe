package wire

import "bytes"

// scan counts a marker in a stream that comes in pieces, also where the marker lies across the
// border of two pieces. Each connection and direction has its own.
type scan struct {
	marker []byte
	tail   []byte // the last len(marker)-1 bytes seen, or all when there were fewer
	joint  []byte // room for the tail with the beginning of the next piece
	used   bool   // any bytes were seen
}

func newScan(marker string) *scan { return &scan{marker: []byte(marker)} }

// count is how many markers end in the piece. An empty marker is never found.
func (s *scan) count(piece []byte) int64 {
	s.used = s.used || len(piece) > 0
	if len(s.marker) == 0 {
		return 0
	}
	// Neither half of the joint can hold a whole marker, so what is found in it lies across.
	edge := len(s.marker) - 1
	s.joint = append(append(s.joint[:0], s.tail...), piece[:min(edge, len(piece))]...)
	found := bytes.Count(s.joint, s.marker) + bytes.Count(piece, s.marker)
	if len(piece) >= edge {
		s.tail = append(s.tail[:0], piece[len(piece)-edge:]...)
		return int64(found)
	}
	s.tail = append(s.tail[:0], s.joint[max(0, len(s.joint)-edge):]...)
	return int64(found)
}
