// Package rundir is the folder of a run: everything that a run leaves, in one place, for its owner
// only (folders 0700, files 0600).
//
// It is opened in the run step of load → plan → run → check → report, filled until the last, and
// read by whatever looks at a saved run. It knows files and nothing of what stands in them, and
// imports the standard library only. It follows no symbolic link out of the folder.
//
// A run of scenario partner-outage is runs/20261121T203759.123Z-partner-outage-3f9a2c, its start
// in UTC, the scenario's name and a random id. Names sort by time. In it stand:
//
//	scenario.yaml   the scenario as it was when the run began
//	topology.yaml   the topology, likewise
//	drawing.d2      the drawing, when there is one
//	plan.json       the plan: every time and random choice
//	run.json        what is known of the run beside its history; missing when it was killed
//	history/        history.parquet, or segments/000001.parquet … of a run that did not end
//	result.json     the verdicts, for programs
//	junit.xml       the verdicts, for CI
//	summary.md      the verdicts, for a pull request
//	log.txt         what the run said while it went on
//	lock            who runs it: process id and start; locked while the run is alive, and gone
//	                when it ended in order
package rundir

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// The files of a run's folder.
const (
	ScenarioFile = "scenario.yaml"
	TopologyFile = "topology.yaml"
	DrawingFile  = "drawing.d2"
	PlanFile     = "plan.json"
	FactsFile    = "run.json"
	HistoryDir   = "history"
	ResultFile   = "result.json"
	JUnitFile    = "junit.xml"
	SummaryFile  = "summary.md"
	LogFile      = "log.txt"
	lockFile     = "lock"
)

const (
	timeLayout = "20060102T150405.000Z"
	// longestName bounds the scenario's part of a folder's name, in bytes.
	longestName = 100
)

// pattern is what a run's folder is called: time, scenario, id.
var pattern = regexp.MustCompile(`^(\d{8}T\d{6}\.\d{3}Z)-(.+)-([0-9a-f]{6})$`)

// Dir is a run's folder that this process fills. It is locked until Close.
type Dir struct {
	path string
	root *os.Root
	lock *os.File
}

// Create makes the folder of a run of the scenario with a name, below parent, which is made too
// when it is missing. Characters that a file's name cannot have become "-".
func Create(parent, name string) (*Dir, error) {
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, fmt.Errorf("create run folder in %q: %w", parent, err)
	}
	// The folder gets its name when it is locked, so that no one takes it for a dead run's.
	path, err := os.MkdirTemp(parent, ".new-")
	if err != nil {
		return nil, fmt.Errorf("create run folder: %w", err)
	}
	d, err := open(path)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	d.path = filepath.Join(parent, folderName(time.Now(), name))
	if err := os.Rename(path, d.path); err != nil {
		return nil, errors.Join(fmt.Errorf("create run folder: %w", err), d.Close(),
			os.RemoveAll(path))
	}
	return d, nil
}

// Open opens the folder of a run that is over, to judge it again or to report on it. A run that
// still goes on is an error that wraps ErrAlive.
func Open(path string) (*Dir, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open run: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open run %q: not a folder", path)
	}
	return open(path)
}

func open(path string) (*Dir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open run: %w", err)
	}
	lock, err := takeLock(root)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open run %q: %w", path, err), root.Close())
	}
	return &Dir{path: path, root: root, lock: lock}, nil
}

func folderName(now time.Time, scenario string) string {
	var id [3]byte
	rand.Read(id[:])
	return fmt.Sprintf("%s-%s-%s", now.UTC().Format(timeLayout), clean(scenario),
		hex.EncodeToString(id[:]))
}

// clean makes a scenario's name part of a folder's name.
func clean(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) || r == '_' || r == '.' {
			return r
		}
		return '-'
	}, strings.ToValidUTF8(name, "-"))
	for len(name) > longestName {
		runes := []rune(name)
		name = string(runes[:len(runes)-1])
	}
	if name = strings.Trim(name, "-"); name == "" {
		return "run"
	}
	return name
}

// Path is the folder's path.
func (d *Dir) Path() string { return d.path }

// Name is the folder's own name.
func (d *Dir) Name() string { return filepath.Base(d.path) }

// History is the path of the history's folder, for a recorder to make.
func (d *Dir) History() string { return filepath.Join(d.path, HistoryDir) }

// HistoryIn is where the history of the run in a folder stands.
func HistoryIn(path string) string { return filepath.Join(path, HistoryDir) }

// Write writes one file of the folder, in one step: the file is there complete or as it was.
func (d *Dir) Write(name string, write func(io.Writer) error) error {
	temp := name + ".tmp"
	f, err := d.root.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write %q of run %q: %w", name, d.Name(), err)
	}
	if err = errors.Join(write(f), f.Close()); err == nil {
		err = d.root.Rename(temp, name)
	}
	if err != nil {
		_ = d.root.Remove(temp) // the first error is the one to tell
		return fmt.Errorf("write %q of run %q: %w", name, d.Name(), err)
	}
	return nil
}

// Copy copies a file of the user's into the folder.
func (d *Dir) Copy(name, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copy into run %q: %w", d.Name(), err)
	}
	defer f.Close()
	return d.Write(name, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
}

// Append opens a file of the folder to write to its end, as the log does.
func (d *Dir) Append(name string) (*os.File, error) {
	f, err := d.root.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open %q of run %q: %w", name, d.Name(), err)
	}
	return f, nil
}

// Read opens a file of the folder.
func (d *Dir) Read(name string) (*os.File, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open %q of run %q: %w", name, d.Name(), err)
	}
	return f, nil
}

// Close says that this process is done with the run. A second call does nothing.
func (d *Dir) Close() error {
	if d.lock == nil {
		return nil
	}
	err := errors.Join(d.root.Remove(lockFile), d.lock.Close(), d.root.Close())
	d.lock = nil
	if err != nil {
		return fmt.Errorf("close run %q: %w", d.Name(), err)
	}
	return nil
}
