package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Latest is the word for the newest run.
const Latest = "latest"

// Run is a folder of a run, seen from outside.
type Run struct {
	Name     string
	Path     string
	Scenario string
	ID       string // six hex digits
	Started  time.Time
	Alive    bool // a process works on it now
}

// List tells the runs below parent, the oldest first. What is no run is left out, and so are
// symbolic links. A parent that does not exist has no runs.
func List(parent string) ([]Run, error) {
	entries, err := os.ReadDir(parent) // sorted by name, which begins with the time
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var runs []Run
	for _, e := range entries {
		run, ok := parseName(e.Name())
		if !ok || !e.IsDir() {
			continue
		}
		run.Path = filepath.Join(parent, e.Name())
		if run.Alive, err = Alive(run.Path); err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	return runs, nil
}

func parseName(name string) (Run, bool) {
	parts := pattern.FindStringSubmatch(name)
	if parts == nil {
		return Run{}, false
	}
	started, err := time.Parse(timeLayout, parts[1])
	if err != nil {
		return Run{}, false
	}
	return Run{Name: name, Scenario: parts[2], ID: parts[3], Started: started}, true
}

// Resolve finds the run that a user means: "latest", the path of a folder, the beginning of a
// run's name below parent, or its id. What fits no run or several is an error that wraps
// fs.ErrNotExist or names them.
func Resolve(parent, arg string) (string, error) {
	if arg != Latest && isPath(arg) {
		return resolvePath(arg)
	}
	runs, err := List(parent)
	if err != nil {
		return "", err
	}
	if len(runs) == 0 {
		return "", fmt.Errorf("find run %q: no runs in %q: %w", arg, parent, fs.ErrNotExist)
	}
	if arg == Latest {
		return runs[len(runs)-1].Path, nil
	}
	fits := slices.DeleteFunc(slices.Clone(runs), func(r Run) bool {
		return r.ID != arg && !strings.HasPrefix(r.Name, arg)
	})
	switch len(fits) {
	case 1:
		return fits[0].Path, nil
	case 0:
		return "", fmt.Errorf("find run %q: not in %q, where the latest is %q: %w", arg, parent,
			runs[len(runs)-1].Name, fs.ErrNotExist)
	}
	return "", fmt.Errorf("find run %q: several fit: %s", arg, quoteNames(fits))
}

// isPath says whether the user gave a path rather than a part of a name.
func isPath(arg string) bool {
	if strings.ContainsRune(arg, filepath.Separator) {
		return true
	}
	_, err := os.Stat(arg)
	return err == nil
}

func resolvePath(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("find run: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("find run %q: not a folder", path)
	}
	if info, err := os.Stat(filepath.Join(path, HistoryDir)); err != nil || !info.IsDir() {
		return "", fmt.Errorf("find run %q: it has no %s folder: %w", path, HistoryDir,
			fs.ErrNotExist)
	}
	return filepath.Clean(path), nil
}

// quoteNames names runs, the newest five of them.
func quoteNames(runs []Run) string {
	var names []string
	for _, r := range runs[max(len(runs)-5, 0):] {
		names = append(names, fmt.Sprintf("%q", r.Name))
	}
	return strings.Join(names, ", ")
}

// Clean removes all runs below parent but the newest keep, and tells which. A living run is never
// touched and counts among those kept; symbolic links are neither followed nor removed. The first
// error ends it.
func Clean(parent string, keep int) (removed []string, err error) {
	runs, err := List(parent)
	if err != nil {
		return nil, err
	}
	for _, r := range runs[:max(len(runs)-max(keep, 0), 0)] {
		alive, err := withLock(r.Path, func() error { return os.RemoveAll(r.Path) })
		if err != nil {
			return removed, fmt.Errorf("remove run %q: %w", r.Name, err)
		}
		if !alive {
			removed = append(removed, r.Name)
		}
	}
	return removed, nil
}
