package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// family are the living processes of the child's group and those that carry its mark; the watcher
// is not one of them.
//
// Source: proc(5), /proc/pid/stat and /proc/pid/environ.
func (c *child) family() ([]member, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for processes: %w", err)
	}
	var all []member
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == c.group {
			continue
		}
		s, err := statOf(pid)
		if err != nil || s.state == "Z" || s.state == "X" {
			continue // it has ended
		}
		if s.group == c.group || c.marked(pid) {
			all = append(all, member{pid, s.group == c.group, s.cpu, s.memory})
		}
	}
	return all, nil
}

// frozen says whether every thread of the group has stopped, but for the watcher: they do so in
// their own time.
func (c *child) frozen() (bool, error) {
	all, err := c.family()
	if err != nil {
		return false, err
	}
	for _, m := range all {
		threads, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(m.pid), "task/*/stat"))
		if err != nil {
			return false, err
		}
		for _, path := range threads {
			s, err := readStat(path)
			if err == nil && m.joined && !strings.Contains("TtZX", s.state) {
				return false, nil
			}
		}
	}
	return true, nil
}

// marked says that a process was started by the child, or by one that was. Those of other users
// cannot be asked, and are not ours.
func (c *child) marked(pid int) bool {
	env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	return err == nil && bytes.Contains(env, []byte(c.mark+"\x00"))
}

type stat struct {
	state  string
	group  int
	cpu    time.Duration
	memory int64
}

// tick is the kernel's unit of processor time towards programs, on every machine of today.
const tick = 10 * time.Millisecond

func statOf(pid int) (stat, error) {
	return readStat(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
}

func readStat(path string) (stat, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(text))
}

// parseStat reads what the kernel says of a process or a thread. The command's name, in parentheses, may have
// anything in it; the fields after it are numbered as in the manual, where the state is the third.
func parseStat(text string) (stat, error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 22 {
		return stat{}, fmt.Errorf("read state of process: %q", text)
	}
	number := func(n int) int64 {
		v, _ := strconv.ParseInt(fields[n-3], 10, 64)
		return v
	}
	return stat{
		state: fields[0], group: int(number(5)),
		cpu:    time.Duration(number(14)+number(15)+number(16)+number(17)) * tick,
		memory: number(24) * int64(os.Getpagesize()),
	}, nil
}
