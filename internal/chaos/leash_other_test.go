//go:build !linux

package chaos

import "syscall"

// leash does nothing where the system has no such thing.
func leash() *syscall.SysProcAttr { return nil }
