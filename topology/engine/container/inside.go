package container

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/faultline-sim/faultline/topology/features"
)

// What is done inside a container's own network is done by programs of this machine: its image may
// have none. They enter by the id of the container's process.
var tools = map[features.Ability]string{
	features.CutOff:        "iptables",
	features.DisconnectAll: "ss",
}

// Unable says why something cannot be asked of any container on this machine; nil when it can.
func Unable(a features.Ability) error {
	tool, ok := tools[a]
	switch {
	case !ok:
		return nil
	case runtime.GOOS != "linux":
		return fmt.Errorf("%w: containers run in a machine of their own on %s, and their network "+
			"cannot be entered", ErrUnable, runtime.GOOS)
	case os.Geteuid() != 0:
		return fmt.Errorf("%w: only root may enter a container's network", ErrUnable)
	}
	for _, program := range []string{"nsenter", tool} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: it takes the program %s, which is not installed", ErrUnable, program)
		}
	}
	return nil
}

// withoutUnable is what is left of an engine's features on this machine; a door ends connections
// by itself.
func withoutUnable(f features.Features, door bool) features.Features {
	why := maps.Clone(f.Why)
	if why == nil {
		why = map[features.Ability]string{}
	}
	f.Can = slices.DeleteFunc(slices.Clone(f.Can), func(a features.Ability) bool {
		err := Unable(a)
		if door && a == features.DisconnectAll {
			return false
		}
		if err != nil {
			why[a] = err.Error()
		}
		return err != nil
	})
	f.Why = why
	return f
}

// inside runs one of this machine's programs in a container's network.
func (c *made) inside(ctx context.Context, command ...string) (string, error) {
	s, err := c.state(ctx)
	if err != nil {
		return "", err
	}
	if s.Pid == 0 {
		return "", errEnded
	}
	args := append([]string{"--target", strconv.Itoa(s.Pid), "--net", "--"}, command...)
	out, err := exec.CommandContext(ctx, "nsenter", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("run %s in the container's network: %w: %s", command[0], err,
			strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

var errEnded = errors.New("the container does not run")
