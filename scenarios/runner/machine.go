package runner

import (
	"os"
	"runtime"

	"github.com/faultline-sim/faultline/scenarios"
)

// Machine is what this process may do on this machine, for a scenario that is to run here.
func Machine() scenarios.Machine {
	return scenarios.Machine{OS: runtime.GOOS, Root: os.Geteuid() == 0}
}
