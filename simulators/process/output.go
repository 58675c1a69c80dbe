package process

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unicode"
)

const (
	tailLines   = 20       // of output that an error shows
	longestLine = 4 << 10  // bytes of a line that are looked at or shown
	mostOutput  = 64 << 20 // bytes of output that a replica's file gets in one life
)

// output takes what a program prints: all of it goes to a file, the last lines are kept for an
// error, and each line is shown to whoever waits for one.
type output struct {
	file io.WriteCloser // nil keeps no file
	want func(line string) bool
	said chan struct{} // closed with the first line that want takes

	mu    sync.Mutex
	line  []byte // the one that has not ended
	last  []string
	seen  bool
	bytes int64
	err   error // of the file, the first
}

// newOutput is a replica's output; folder "" keeps no file, want may be nil.
func newOutput(folder, node string, replica int, want func(string) bool) (*output, error) {
	o := &output{want: want, said: make(chan struct{})}
	if folder == "" {
		return o, nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make folder for output: %w", err)
	}
	path := filepath.Join(folder, fmt.Sprintf("%s-%d.log", fileName(node), replica))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open file for output: %w", err)
	}
	o.file = file
	return o, nil
}

// fileName is a node's name as a file's name can have it.
func fileName(node string) string {
	return strings.TrimLeft(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '.' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, node), ".")
}

// Write never fails: a program is not to stumble over a full disk here.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	o.keep(b)
	for rest := b; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			o.grow(rest)
			break
		}
		o.grow(rest[:end])
		o.finish()
		rest = rest[end+1:]
	}
	o.mu.Unlock()
	return len(b), nil
}

// keep puts bytes in the file, as many as it may get.
func (o *output) keep(b []byte) {
	if o.file == nil || o.err != nil || o.bytes >= mostOutput {
		return
	}
	o.bytes += int64(len(b))
	_, o.err = o.file.Write(b)
	if o.err == nil && o.bytes >= mostOutput {
		_, o.err = fmt.Fprintf(o.file, "\nfaultline: further output is not kept\n")
	}
}

func (o *output) grow(b []byte) {
	if room := longestLine - len(o.line); room > 0 {
		o.line = append(o.line, b[:min(room, len(b))]...)
	}
}

// finish ends a line.
func (o *output) finish() {
	line := strings.TrimRight(string(o.line), "\r")
	o.line = o.line[:0]
	if len(o.last) == tailLines {
		o.last = append(o.last[:0], o.last[1:]...)
	}
	o.last = append(o.last, line)
	if !o.seen && o.want != nil && o.want(line) {
		o.seen = true
		close(o.said)
	}
}

// note puts a line of this program's own into the file.
func (o *output) note(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keep(fmt.Appendf(nil, "faultline: "+format+"\n", args...))
}

// tail is the last lines, the one that has not ended included; "" when nothing was printed.
func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	lines := o.last
	if len(o.line) > 0 {
		lines = append(lines[:len(lines):len(lines)], string(o.line))
	}
	return strings.Join(lines, "\n")
}

func (o *output) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil {
		return nil
	}
	err := o.file.Close()
	o.file = nil
	return err
}
