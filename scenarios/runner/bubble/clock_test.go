package bubble

import (
	"syscall"
	"time"
)

// realClock is processor time used by this process, which a bubble's clock does not hide.
func realClock() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
