package history

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// noChecksum stands in a file's metadata until the checksum is known.
const noChecksum = "00000000"

var (
	errDamaged = errors.New("file is damaged")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// writeChecksum puts the checksum of a complete file into its metadata.
func writeChecksum(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	at, _, err := findChecksum(f, info.Size())
	if err != nil {
		return err
	}
	sum, err := checksum(f, info.Size(), at)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(sum), at)
	return err
}

// verifyChecksum reads a whole file once, so that nothing that is damaged is ever decoded.
func verifyChecksum(r io.ReaderAt, size int64) error {
	at, want, err := findChecksum(r, size)
	if err != nil {
		return err
	}
	got, err := checksum(r, size, at)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("checksum is %s, not %s: %w", got, want, errDamaged)
	}
	return nil
}

// checksum is the CRC-32C, in hex, of all of a file but the eight bytes at its own place.
func checksum(r io.ReaderAt, size, at int64) (string, error) {
	h := crc32.New(castagnoli)
	end := at + int64(len(noChecksum))
	all := io.MultiReader(io.NewSectionReader(r, 0, at), io.NewSectionReader(r, end, size-end))
	if _, err := io.Copy(h, all); err != nil {
		return "", err
	}
	return fmt.Sprintf("%08x", h.Sum32()), nil
}

// findChecksum is where the checksum stands, and what stands there. A Parquet file ends with its
// metadata in Thrift's compact protocol, their length in four bytes, and "PAR1"; a text of eight
// bytes is 0x18, its length, and itself.
func findChecksum(r io.ReaderAt, size int64) (at int64, sum string, err error) {
	const tail = 8
	var end [tail]byte
	if size < tail {
		return 0, "", fmt.Errorf("%d bytes are no history: %w", size, errDamaged)
	}
	if _, err := r.ReadAt(end[:], size-tail); err != nil {
		return 0, "", err
	}
	length := int64(binary.LittleEndian.Uint32(end[:4]))
	if string(end[4:]) != "PAR1" || length > size-tail {
		return 0, "", fmt.Errorf("the file has no end: %w", errDamaged)
	}
	footer := make([]byte, length)
	if _, err := r.ReadAt(footer, size-tail-length); err != nil {
		return 0, "", err
	}
	mark := []byte(metaChecksum + "\x18\x08")
	i := bytes.LastIndex(footer, mark)
	if i < 0 || i+len(mark)+len(noChecksum) > len(footer) {
		return 0, "", fmt.Errorf("metadata %q is missing: not a history", metaChecksum)
	}
	i += len(mark)
	return size - tail - length + int64(i), string(footer[i : i+len(noChecksum)]), nil
}
