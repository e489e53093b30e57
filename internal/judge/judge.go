// Package judge starts the programs that judge Sparekey from outside: moto, the AWS CLI, PostgreSQL.
//
// It is for tests only. Where a program is missing, the test says how to install it and skips; with SPAREKEY_JUDGES=all in
// the environment, as in .ci/run, it fails instead. Everything listens on loopback or on a socket in a temporary folder, and
// ends with the test process, also when that is killed.
package judge

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// Find returns the path of a program, or skips the test (fails it where no judge may be missing).
func Find(t testing.TB, program, install string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	Missing(t, fmt.Sprintf("%s is not on the PATH; install it with: %s", program, install))
	return ""
}

// Missing skips the test for the reason given, or fails it where no judge may be missing.
func Missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("SPAREKEY_JUDGES") == "all" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// leashed starts a program that is ended when this process ends, however it ends: a shell holds the other end of a pipe and
// waits for it to close, then sends the signal. The folder, if one is named, is then removed.
func leashed(c *exec.Cmd, signal, folder string) (stop func(), err error) {
	const script = `signal=$1 folder=$2; shift 2; "$@" </dev/null & child=$!; cat >/dev/null; kill -$signal $child; wait $child 2>/dev/null; [ -z "$folder" ] || rm -rf "$folder"`
	shell := exec.Command("sh", append([]string{"-c", script, "sh", signal, folder}, c.Args...)...)
	shell.Env, shell.Dir, shell.Stdout, shell.Stderr, shell.SysProcAttr = c.Env, c.Dir, c.Stdout, c.Stderr, c.SysProcAttr
	leash, err := shell.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := shell.Start(); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() {
		leash.Close()
		_ = shell.Wait()
	}), nil
}

// freePort returns a loopback port that nothing listened on a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Moto starts a moto_server of its own for the test and returns its URL.
func Moto(t testing.TB) string {
	t.Helper()
	program := Find(t, "moto_server", "pip install 'moto[server]==5.2.1'")
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	c := exec.Command(program, "-H", "127.0.0.1", "-p", fmt.Sprint(port))
	c.Stdout, c.Stderr = &said, &said
	stop, err := leashed(c, "KILL", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	for range 300 {
		if r, err := http.Get(url + "/moto-api/data.json"); err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			r.Body.Close()
			return url
		}
		time.Sleep(100 * time.Millisecond) // it has no other way to say that it is ready
	}
	stop()
	t.Fatalf("moto_server did not answer within 30 s:\n%s", said.String())
	return ""
}

// AWS is the AWS CLI, pointed at one endpoint with one set of credentials, and knowing nothing else of this machine.
type AWS struct {
	program  string
	endpoint string
	env      []string
}

// CLI returns the AWS CLI for an endpoint.
func CLI(t testing.TB, endpoint, region, key, secret, session string) AWS {
	t.Helper()
	home := t.TempDir()
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "AWS_CONFIG_FILE=" + home + "/none", "AWS_SHARED_CREDENTIALS_FILE=" + home + "/none",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_DEFAULT_REGION=" + region, "AWS_MAX_ATTEMPTS=1", "AWS_PAGER=", "LC_ALL=C.UTF-8",
		"AWS_ACCESS_KEY_ID=" + key, "AWS_SECRET_ACCESS_KEY=" + secret,
	}
	if session != "" {
		env = append(env, "AWS_SESSION_TOKEN="+session)
	}
	if root := os.Getenv("PYENV_ROOT"); root != "" {
		env = append(env, "PYENV_ROOT="+root)
	} else if real := os.Getenv("HOME"); real != "" {
		env = append(env, "PYENV_ROOT="+real+"/.pyenv") // a pyenv shim looks for itself below the home folder
	}
	return AWS{Find(t, "aws", "pip install awscli"), endpoint, env}
}

// Run runs one command of the CLI and returns what it printed; the error holds what it said on standard error.
func (a AWS) Run(args ...string) (string, error) {
	c := exec.Command(a.program, append([]string{"--endpoint-url", a.endpoint, "--output", "json"}, args...)...)
	c.Env = a.env
	var out, said bytes.Buffer
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil {
		return out.String(), fmt.Errorf("aws %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}
