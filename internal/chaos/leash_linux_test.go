package chaos

import "syscall"

// leash ends a process with the test that started it, also when that is killed.
func leash() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
