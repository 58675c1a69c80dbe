package rundir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ErrAlive marks a run that a process is working on.
var ErrAlive = errors.New("run is alive")

// takeLock locks a run's folder for this process. The kernel gives the lock up when the process
// dies, however it dies, so a lock that is held means a living owner; what stands in the file is
// for people.
func takeLock(root *os.Root) (*os.File, error) {
	f, err := root.OpenFile(lockFile, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := tryLock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	owner := fmt.Sprintf("pid %d since %s\n", os.Getpid(), time.Now().UTC().Format(time.RFC3339))
	if err := errors.Join(f.Truncate(0), writeAt(f, owner)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// tryLock locks a file without waiting; when another holds it, the error wraps ErrAlive and names
// the owner.
func tryLock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return err
	}
	owner, err := io.ReadAll(io.LimitReader(f, 100))
	if err != nil {
		return err
	}
	return fmt.Errorf("%w (%s)", ErrAlive, strings.TrimSpace(string(owner)))
}

// Alive says whether a process is working on the run in a folder, this one included.
func Alive(path string) (bool, error) {
	held, err := withLock(path, func() error { return nil })
	if err != nil {
		return false, fmt.Errorf("look at run %q: %w", path, err)
	}
	return held, nil
}

// withLock does something to a run that nobody works on; held says that somebody does. A run
// without a lock file ended in order.
func withLock(path string, do func() error) (held bool, err error) {
	f, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, do()
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if err := tryLock(f); errors.Is(err, ErrAlive) {
		return true, nil
	} else if err != nil {
		return false, err
	}
	return false, do()
}
