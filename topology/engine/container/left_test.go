//go:build containers

package container_test

import (
	"os/exec"
	"strings"
	"testing"
)

// nothingIsLeft looks for what carries the label of the test's run.
func nothingIsLeft(t *testing.T) {
	t.Helper()
	for _, kind := range []string{"container", "network", "volume"} {
		args := []string{kind, "ls", "--quiet", "--filter", "label=faultline.run=" + t.Name()}
		if kind == "container" {
			args = append(args, "--all")
		}
		out, err := exec.Command("docker", args...).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "" {
			t.Errorf("%s left behind: %s %v", kind, out, err)
		}
	}
}
