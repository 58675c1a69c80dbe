//go:build containers

package container_test

import (
	"os/exec"
	"strings"
	"testing"
)

// docker runs the command line's own client.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// lines are how many lines a text has.
func lines(text string) int {
	return len(strings.Fields(text))
}

// containerOf is the id of the test's only container.
func containerOf(t *testing.T) string {
	t.Helper()
	return docker(t, "ps", "--all", "--quiet", "--filter", "label=faultline.run="+t.Name())
}

func limitsOf(t *testing.T) string {
	t.Helper()
	return docker(t, "inspect", "--format", "{{.HostConfig.CpuQuota}} {{.HostConfig.Memory}}",
		containerOf(t))
}
