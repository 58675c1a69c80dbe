package container

import (
	"maps"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

func TestOwnersOfWhatWasMade(t *testing.T) {
	own, err := Labels("run", "node")
	if err != nil {
		t.Fatal(err)
	}
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	with := func(key, value string) map[string]string {
		l := maps.Clone(own)
		l[key] = value
		return l
	}
	for name, c := range map[string]struct {
		labels map[string]string
		lives  bool
	}{
		"this process":                 {own, true},
		"one that has ended":           {with(LabelPID, strconv.Itoa(gone.Process.Pid)), false},
		"one whose id another has now": {with(LabelStarted, "1000"), false},
		"one on another machine":       {with(LabelHost, "elsewhere pid:[1]"), true},
		"one whose id cannot be read":  {with(LabelPID, "?"), true},
		"one whose start is not known": {with(LabelStarted, ""), true},
		"none":                         {nil, true},
	} {
		if got := ownerLives(c.labels); got != c.lives {
			t.Errorf("owner/%s/lives: got %v", name, got)
		}
	}
}

func TestAProcessThatNobodyHasBuriedIsDead(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no /proc here")
	}
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	started, err := startOf(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	labels, err := Labels("run", "node")
	if err != nil {
		t.Fatal(err)
	}
	labels[LabelPID] = strconv.Itoa(c.Process.Pid)
	labels[LabelStarted] = strconv.FormatInt(started, 10)
	if !ownerLives(labels) {
		t.Error("owner/running/want it alive")
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for ownerLives(labels) { // not waited for: it stays in the table of processes
		if t.Context().Err() != nil {
			t.Fatal("owner/killed/want it dead")
		}
	}
	_ = c.Wait()
}
