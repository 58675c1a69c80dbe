package history

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// Names in a run's history folder.
const (
	compactedName = "history.parquet"
	segmentsName  = "segments"
	tempSuffix    = ".tmp" // never read
)

const (
	// rowGroup is how many events share dictionaries; it bounds what a reader holds in memory.
	rowGroup = 1 << 17
	// rowBatch is how many events are handed to the encoder at once.
	rowBatch = 256
)

// SegmentPath is where the segment with a number, from 1, stands in a run's history folder.
func SegmentPath(dir string, number int) string {
	return filepath.Join(dir, segmentsName, fmt.Sprintf("%06d.parquet", number))
}

// Prepare makes a run's history folder, where segments can then be created.
func Prepare(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, segmentsName), 0o700); err != nil {
		return fmt.Errorf("prepare history %q: %w", dir, err)
	}
	return nil
}

// Writer writes one file of events. Nothing stands at its path before Seal: a writer that is
// killed leaves only a temporary file, which no reader looks at. It is used by one goroutine.
type Writer struct {
	path    string
	file    *os.File
	parquet *parquet.GenericWriter[row]
	rows    []row
	group   int // events in the current row group
	traces  traces
	meta    meta
	last    int64 // the time of the last event written
	err     error // the first; all later calls return it
}

// Create begins a file: 18 bytes an event, not compressed, for that is written while the load runs.
func Create(path string) (*Writer, error) { return create(path, &parquet.Uncompressed) }

// createSmall begins a file of 15 bytes an event. Zstandard's next level would save another 2 % and
// take a fifth longer, Snappy would need 2 % more; all are read equally fast.
func createSmall(path string) (*Writer, error) {
	return create(path, &zstd.Codec{Level: zstd.SpeedFastest})
}

func create(path string, codec compress.Codec) (*Writer, error) {
	file, err := os.OpenFile(path+tempSuffix, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create history %q: %w", path, err)
	}
	w := &Writer{path: path, file: file, rows: make([]row, 0, rowBatch), traces: traces{}}
	w.parquet = parquet.NewGenericWriter[row](file, writerOptions(codec)...)
	return w, nil
}

// writerOptions has every column's bounds written, for each page and each row group, in full. An
// engine skips what its filter lies outside of, so a bound that is missing must not stand there as
// zero: parquet-go's SkipPageBounds writes min = max = 0 (or ""), and with it every filter finds
// nothing. A bound that is cut short would have to be rounded up, within UTF-8.
func writerOptions(codec compress.Codec) []parquet.WriterOption {
	return []parquet.WriterOption{
		parquet.Compression(codec),
		parquet.CreatedBy("faultline", strconv.Itoa(Format), ""),
		parquet.DataPageStatistics(false), // the page index has them
		parquet.ColumnIndexSizeLimit(func([]string) int { return math.MaxInt }),
	}
}

// Write adds one event. Events come in time order, as Compare has it; one that goes back, or that
// has no known kind or outcome, is an error. The event is not kept.
func (w *Writer) Write(e *Event) error {
	if w.err != nil {
		return w.err
	}
	if err := w.check(e); err != nil {
		return w.fail("write", err)
	}
	w.meta.add(e)
	w.last = e.At
	w.rows = w.rows[:len(w.rows)+1]
	w.rows[len(w.rows)-1].fill(e, w.traces.text(e.Trace))
	if len(w.rows) == cap(w.rows) {
		return w.flush()
	}
	return nil
}

func (w *Writer) check(e *Event) error {
	if e.Kind == 0 || int(e.Kind) >= len(kindNames) {
		return fmt.Errorf("event has unknown %v", e.Kind)
	}
	if int(e.Outcome) >= len(outcomeNames) {
		return fmt.Errorf("event has unknown %v", e.Outcome)
	}
	if w.meta.events > 0 && w.last > e.At {
		return fmt.Errorf("event at %d ns stands behind one at %d ns", e.At, w.last)
	}
	return nil
}

// flush hands the batch of rows to the encoder and begins a new row group when one is full.
func (w *Writer) flush() error {
	if _, err := w.parquet.Write(w.rows); err != nil {
		return w.fail("write", err)
	}
	w.group += len(w.rows)
	w.rows = w.rows[:0]
	if w.group < rowGroup {
		return nil
	}
	w.group = 0
	clear(w.traces)
	if err := w.parquet.Flush(); err != nil {
		return w.fail("write", err)
	}
	return nil
}

// Len is the number of events written.
func (w *Writer) Len() int64 { return w.meta.events }

// Seal completes the file and puts it at its path in one step. The writer is done with.
func (w *Writer) Seal() error {
	if w.err != nil {
		return w.err
	}
	if err := w.flush(); err != nil {
		return err
	}
	for key, value := range w.meta.texts() {
		w.parquet.SetKeyValueMetadata(key, value)
	}
	w.parquet.SetKeyValueMetadata(metaChecksum, noChecksum)
	if err := errors.Join(w.parquet.Close(), writeChecksum(w.file)); err != nil {
		return w.fail("seal", err)
	}
	if err := w.file.Close(); err != nil {
		return w.fail("seal", err)
	}
	if err := os.Rename(w.path+tempSuffix, w.path); err != nil {
		return w.fail("seal", err)
	}
	w.err = fmt.Errorf("seal history %q: %w", w.path, os.ErrClosed)
	return nil
}

// Abort gives the file up and removes what was written of it. After Seal it does nothing.
func (w *Writer) Abort() {
	if w.err == nil {
		_ = w.fail("write", errors.New("given up"))
	}
}

// fail keeps the first error, ends the file and removes it.
func (w *Writer) fail(verb string, err error) error {
	w.err = fmt.Errorf("%s history %q: %w", verb, w.path, err)
	_ = w.file.Close() // the file is given up; its error adds nothing
	_ = os.Remove(w.path + tempSuffix)
	return w.err
}
