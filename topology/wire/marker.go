package wire

import (
	"bytes"
	"encoding/base64"
)

// scan counts a marker in a stream that comes in pieces, as it is and in base64, as Kinesis carries
// what it is given. Each connection and direction has its own.
type scan struct {
	needles []*needle
	used    bool // any bytes were seen
}

// newScan is a scan for a marker; an empty one is never found.
func newScan(marker string) *scan {
	s := &scan{}
	if marker == "" {
		return s
	}
	s.needles = append(s.needles, &needle{marker: []byte(marker)})
	for before := range 3 {
		if coded := inBase64(marker, before); len(coded) > 0 { // a short one leaves nothing to look for
			s.needles = append(s.needles, &needle{marker: coded})
		}
	}
	return s
}

// inBase64 is what is in base64 of a marker that stands behind so many bytes of a group of three: the
// characters that its neighbours have no part in.
func inBase64(marker string, before int) []byte {
	const bits = 6 // a character
	coded := base64.StdEncoding.EncodeToString(append(make([]byte, before), marker...))
	first, behind := (before*8+bits-1)/bits, (before+len(marker))*8/bits
	return []byte(coded[first:behind])
}

// count is how many markers end in the piece.
func (s *scan) count(piece []byte) (n int64) {
	s.used = s.used || len(piece) > 0
	for _, one := range s.needles {
		n += one.count(piece)
	}
	return n
}

// needle is one text that is looked for, also where it lies across the border of two pieces.
type needle struct {
	marker []byte
	tail   []byte // the last len(marker)-1 bytes seen, or all when there were fewer
	joint  []byte // room for the tail with the beginning of the next piece
}

// count is how many end in the piece.
func (s *needle) count(piece []byte) int64 {
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
