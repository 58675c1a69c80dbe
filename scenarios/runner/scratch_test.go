package runner

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
)

func TestCleanScratchTakesWhatTheDeadHaveLeft(t *testing.T) {
	own := scratch()
	if own == "" {
		t.Skip("this system has no folder in memory, and so nothing is ever left there")
	}
	defer os.RemoveAll(own)
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	left, err := os.MkdirTemp(memoryFolder, scratchPrefix+strconv.Itoa(dead.Process.Pid)+"-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(left)
	removed, err := CleanScratch()
	if err != nil || !slices.Contains(removed, left) || slices.Contains(removed, own) {
		t.Errorf("removed %q of %q and %q: %v", removed, left, own, err)
	}
}
