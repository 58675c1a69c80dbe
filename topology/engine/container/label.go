package container

import (
	"fmt"
	"os"
	"strconv"

	"github.com/shirou/gopsutil/v4/process"
)

// The labels of all that is made in the daemon. Started and Host tell the owner from another
// process that has its id, later or elsewhere.
const (
	LabelRun     = "faultline.run"     // the run's id
	LabelNode    = "faultline.node"    // the node's full name
	LabelPID     = "faultline.pid"     // the owner's process id
	LabelStarted = "faultline.started" // when the owner began, in ms since 1970
	LabelHost    = "faultline.host"    // where that id means something
)

// Labels are those of what this process makes for a node of a run.
func Labels(run, node string) (map[string]string, error) {
	pid := os.Getpid()
	started, err := startOf(pid)
	if err != nil {
		return nil, fmt.Errorf("label containers of %q: %w", node, err)
	}
	return map[string]string{
		LabelRun: run, LabelNode: node, LabelHost: thisHost(),
		LabelPID: strconv.Itoa(pid), LabelStarted: strconv.FormatInt(started, 10),
	}, nil
}

// startOf is when a process began, in ms since 1970.
func startOf(pid int) (int64, error) {
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return 0, fmt.Errorf("find process %d: %w", pid, err)
	}
	return p.CreateTime()
}

// thisHost is the machine's name and the namespace of its process ids, where there is one.
func thisHost() string {
	name, _ := os.Hostname() // an empty name is a name too
	space, _ := os.Readlink("/proc/self/ns/pid")
	return name + " " + space
}

// startSlack is how far apart two readings of one process's start may lie, in ms: they lean on the
// machine's clock.
const startSlack = 5000

// ownerLives says whether what carries these labels still has its owner. Where that cannot be
// known, it has.
func ownerLives(labels map[string]string) bool {
	if labels[LabelHost] != thisHost() {
		return true
	}
	pid, err := strconv.Atoi(labels[LabelPID])
	if err != nil {
		return true
	}
	started, err := strconv.ParseInt(labels[LabelStarted], 10, 64)
	if err != nil {
		return true
	}
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return false
	}
	now, err := p.CreateTime()
	if err != nil || abs(now-started) > startSlack {
		return false
	}
	states, err := p.Status()
	return err != nil || len(states) != 1 || states[0] != process.Zombie
}

func abs(n int64) int64 { return max(n, -n) }
