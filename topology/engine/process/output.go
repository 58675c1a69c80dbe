package process

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// output is the file that a program writes to, from one start on.
type output struct {
	file *os.File // for the program; closed here once it has it
	path string
	from int64 // where this start's part begins
}

func openOutput(path string) (output, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return output{}, fmt.Errorf("open output of program: %w", err)
	}
	at, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		f.Close()
		return output{}, fmt.Errorf("open output %q of program: %w", path, err)
	}
	return output{f, path, at}, nil
}

const (
	// lastLines is how much of an output is shown.
	lastLines = 20
	// lastBytes is how much of it is looked through for them.
	lastBytes = 16 << 10
	// longestLine is how many bytes of a line are shown.
	longestLine = 500
)

// lastLines are what the program wrote last since its start, without empty lines.
func (o output) lastLines() (lines []string) {
	f, err := os.Open(o.path)
	if err != nil {
		return []string{fmt.Sprintf("(what it wrote cannot be read: %v)", err)}
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return []string{fmt.Sprintf("(what it wrote cannot be read: %v)", err)}
	}
	from := max(o.from, size-lastBytes)
	text, err := io.ReadAll(io.NewSectionReader(f, from, size-from))
	if err != nil {
		return []string{fmt.Sprintf("(what it wrote cannot be read: %v)", err)}
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n\t ")
		if line != "" {
			lines = append(lines, line[:min(len(line), longestLine)])
		}
	}
	return lines[max(0, len(lines)-lastLines):]
}

// first is what the program wrote first since its start.
func (o output) first() string {
	f, err := os.Open(o.path)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.NewSectionReader(f, o.from, 1<<10)) // as far as it can be read
	return string(text)
}
