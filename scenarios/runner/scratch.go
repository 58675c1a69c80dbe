package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A run in virtual time makes as many files in a second as another in minutes, and none of them needs
// to outlive it. So its engines keep their data in memory where the system has a folder for that.

// memoryFolder is that folder, on Linux.
const memoryFolder = "/dev/shm"

// scratchPrefix is what a run's folder there is called, before the process's number.
const scratchPrefix = "faultline-"

// scratch makes a folder for the data of a run's engines, in memory; "" where there is none.
func scratch() string {
	dir, err := os.MkdirTemp(memoryFolder, scratchPrefix+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return ""
	}
	return dir
}

// CleanScratch removes what runs of processes that no longer live have left in memory, and names it.
func CleanScratch() (removed []string, err error) {
	left, err := filepath.Glob(filepath.Join(memoryFolder, scratchPrefix+"*-*"))
	if err != nil {
		return nil, fmt.Errorf("look for what runs left in memory: %w", err)
	}
	var errs []error
	for _, dir := range left {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), scratchPrefix), "-")
		pid, err := strconv.Atoi(number)
		if err != nil || alive(pid) {
			continue
		}
		err = os.RemoveAll(dir)
		switch {
		case errors.Is(err, fs.ErrPermission): // somebody else's
		case err != nil:
			errs = append(errs, err)
		default:
			removed = append(removed, dir)
		}
	}
	return removed, errors.Join(errs...)
}

// alive says that a process with a number runs.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	err = p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, fs.ErrPermission)
}
