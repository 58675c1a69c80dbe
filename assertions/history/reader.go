package history

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// Reader reads a run's history in time order, as often as wanted, by one goroutine at a time. It
// holds no file open between two readings.
type Reader struct {
	segments []segment // by the time of their first event
	names    interned
	err      error
}

// segment is one verified file.
type segment struct {
	path   string
	serial int // by the names of the files, which are in order of sealing
	meta   meta
}

// Open reads a run's history folder: the compacted file if there is one, else all sealed segments,
// which is what a killed run leaves. Every file is read through once and refused, by name, when a
// bit of it changed since it was sealed or its format is higher than Format. A folder without a
// sealed segment is an error that wraps fs.ErrNotExist.
func Open(dir string) (*Reader, error) {
	paths, err := files(dir)
	if err != nil {
		return nil, fmt.Errorf("open history %q: %w", dir, err)
	}
	r := &Reader{names: interned{}}
	for i, path := range paths {
		m, err := readMeta(path)
		if err != nil {
			return nil, fmt.Errorf("open history %q: %w", path, err)
		}
		r.segments = append(r.segments, segment{path, i, m})
	}
	slices.SortStableFunc(r.segments, func(a, b segment) int {
		return cmp.Compare(a.meta.first, b.meta.first)
	})
	return r, nil
}

// files are the files that make a history.
func files(dir string) ([]string, error) {
	compacted := filepath.Join(dir, compactedName)
	if _, err := os.Stat(compacted); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return []string{compacted}, err
	}
	entries, err := os.ReadDir(filepath.Join(dir, segmentsName))
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".parquet") {
			paths = append(paths, filepath.Join(dir, segmentsName, e.Name()))
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no sealed segment: %w", fs.ErrNotExist)
	}
	return paths, nil
}

func readMeta(path string) (meta, error) {
	f, file, err := openParquet(path, true)
	if err != nil {
		return meta{}, err
	}
	defer f.Close()
	return parseMeta(file)
}

// openParquet opens one file, which the caller closes, and verifies it when asked.
func openParquet(path string, verify bool) (_ *os.File, _ *parquet.File, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("read metadata: %v: %w", p, errDamaged)
		}
		if err != nil {
			f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if verify {
		if err := verifyChecksum(f, info.Size()); err != nil {
			return nil, nil, err
		}
	}
	file, err := parquet.OpenFile(f, info.Size(),
		parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true),
		parquet.ReadBufferSize(1<<16))
	if err != nil {
		return nil, nil, err
	}
	return f, file, checkChunks(file, info.Size())
}

// checkChunks looks at where a file's metadata say its columns are and how they are compressed, so
// that the decoder reads only what this package writes. Codecs that trust the sizes they are told,
// or that make much of little, are not among it.
func checkChunks(f *parquet.File, size int64) error {
	for _, g := range f.Metadata().RowGroups {
		for _, c := range g.Columns {
			m := &c.MetaData
			start := m.DataPageOffset
			if m.DictionaryPageOffset > 0 {
				start = min(start, m.DictionaryPageOffset)
			}
			switch {
			case m.Codec != format.Uncompressed && m.Codec != format.Zstd:
				return fmt.Errorf("column %q has codec %v: %w", m.PathInSchema, m.Codec, errDamaged)
			case start < 0 || m.TotalCompressedSize < 0 || start > size-m.TotalCompressedSize:
				return fmt.Errorf("column %q leaves the file: %w", m.PathInSchema, errDamaged)
			}
		}
	}
	return nil
}

// Len is the number of events.
func (r *Reader) Len() (n int64) {
	for _, s := range r.segments {
		n += s.meta.events
	}
	return n
}

// Shed is the number of events that the recorder had to drop.
func (r *Reader) Shed() (n int64) {
	for _, s := range r.segments {
		n += s.meta.shed
	}
	return n
}

// Ended says whether the run ended and its audit was complete; false after a kill.
func (r *Reader) Ended() bool {
	return slices.ContainsFunc(r.segments, func(s segment) bool { return s.meta.ended })
}

// End is the time of the last event, in ns since the run began; 0 when there is none.
func (r *Reader) End() (ns int64) {
	for _, s := range r.segments {
		if s.meta.events > 0 {
			ns = max(ns, s.meta.last)
		}
	}
	return ns
}

// Events yields every event in order of time, also where segments overlap; events of one instant in
// the order of their segments, and of their rows there. The
// event is overwritten by the next one: what is kept must be copied. Err tells afterwards whether
// the reading was complete.
func (r *Reader) Events(yield func(*Event) bool) {
	m := merge{waiting: r.segments, names: r.names}
	defer m.close()
	r.err = nil
	for {
		e, err := m.next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				r.err = fmt.Errorf("read history: %w", err)
			}
			return
		}
		if !yield(e) {
			return
		}
	}
}

// Err is the error that ended the last reading early, if any.
func (r *Reader) Err() error { return r.err }

// merge gives the events of several files in one order. A file is opened when the merge reaches
// its first event, so only files that overlap are open at once, however many a run has.
type merge struct {
	waiting []segment // by their first event, not opened yet
	open    cursors
	names   interned
	given   bool // the first of open was given and must move on
}

// next is the next event, or io.EOF.
func (m *merge) next() (*Event, error) {
	if m.given {
		m.given = false
		if err := m.step(); err != nil {
			return nil, err
		}
	}
	for len(m.waiting) > 0 && (len(m.open) == 0 || m.waiting[0].meta.first <= m.open[0].event.At) {
		if err := m.begin(m.waiting[0]); err != nil {
			return nil, err
		}
		m.waiting = m.waiting[1:]
	}
	if len(m.open) == 0 {
		return nil, io.EOF
	}
	m.given = true
	return &m.open[0].event, nil
}

// step moves the first cursor on, and away when it is at its end.
func (m *merge) step() error {
	c := m.open[0]
	err := c.read()
	if errors.Is(err, io.EOF) {
		heap.Pop(&m.open)
		return c.file.Close()
	}
	if err != nil {
		return err
	}
	if len(m.open) > 1 {
		heap.Fix(&m.open, 0)
	}
	return nil
}

func (m *merge) begin(s segment) error {
	f, file, err := openParquet(s.path, false)
	if err != nil {
		return fmt.Errorf("%q: %w", s.path, err)
	}
	c := &cursor{path: s.path, file: f, decoder: newDecoder(m.names), serial: s.serial}
	c.event.At = math.MinInt64
	c.decoder.groups = file.RowGroups()
	switch err := c.read(); {
	case errors.Is(err, io.EOF):
		return f.Close()
	case err != nil:
		return errors.Join(err, f.Close())
	}
	heap.Push(&m.open, c)
	return nil
}

func (m *merge) close() {
	for _, c := range m.open {
		c.decoder.close()
		c.file.Close()
	}
}

// cursor stands at one event of one file.
type cursor struct {
	path    string
	serial  int // of the segment
	file    *os.File
	decoder *decoder
	event   Event
}

func (c *cursor) read() error {
	at := c.event.At
	err := c.decoder.read(&c.event)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%q: %w", c.path, err)
	}
	if err == nil && c.event.At < at {
		return fmt.Errorf("%q: events are not in time order: %w", c.path, errDamaged)
	}
	return err
}

// cursors is a heap, the earliest event first.
type cursors []*cursor

func (c cursors) Len() int { return len(c) }
func (c cursors) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(c[i].event.At, c[j].event.At), cmp.Compare(c[i].serial, c[j].serial)) < 0
}
func (c cursors) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *cursors) Push(x any)   { *c = append(*c, x.(*cursor)) }
func (c *cursors) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}
