//go:build !linux

package process

import "syscall"

// ownGroup is a process group of its own.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// awaitExit cannot wait for a process and leave it to be waited for here.
func awaitExit(int) bool { return false }
