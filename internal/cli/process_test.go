package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sparekey/internal/demo"
	"sparekey/internal/sandbox"
	"sparekey/org"
)

// process is a program that a script has started and goes on without.
type process struct {
	*exec.Cmd
	said  *voices
	ended chan error
}

// voices is what a process has said so far, on both of its outputs.
type voices struct {
	mu       sync.Mutex
	out, err bytes.Buffer
	both     bytes.Buffer
	heard    int           // up to where somebody has waited for something
	more     chan struct{} // closed, and made anew, when something is said
}

// voice is one of its outputs.
type voice struct {
	*voices
	own *bytes.Buffer
}

func (v voice) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.own.Write(p)
	v.both.Write(p)
	close(v.more)
	v.more = make(chan struct{})
	return len(p), nil
}

// await waits until something is said that was not waited for before, and returns what the pattern's groups found.
func (v *voices) await(pattern *regexp.Regexp, ended <-chan error) ([]string, error) {
	deadline := time.After(patience)
	for {
		v.mu.Lock()
		text, more := v.both.Bytes()[v.heard:], v.more
		if at := pattern.FindSubmatchIndex(text); at != nil {
			found := pattern.FindStringSubmatch(string(text))
			v.heard += at[1]
			v.mu.Unlock()
			return found, nil
		}
		said := v.both.String()
		v.mu.Unlock()
		select {
		case <-more:
		case err := <-ended:
			return nil, fmt.Errorf("it has ended (%v) and never said %s:\n%s", err, pattern, said)
		case <-deadline:
			return nil, fmt.Errorf("it does not say %s:\n%s", pattern, said)
		}
	}
}

// cmdStart starts a program. What the pattern's groups find goes into NAME_1, NAME_2 ….
func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 3, "start NAME REGEXP COMMAND…")
	h := hostOf(ts)
	path := args[2]
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if full := filepath.Join(dir, args[2]); exists(full) {
			path = full
			break
		}
	}
	said := &voices{more: make(chan struct{})}
	p := &process{exec.Command(path, args[3:]...), said, make(chan error, 1)}
	p.Dir, p.Stdout, p.Stderr = ts.MkAbs("."), voice{said, &said.out}, voice{said, &said.err}
	for _, v := range append(h.vars, "WORK="+ts.Getenv("WORK")) {
		name, _, _ := strings.Cut(v, "=")
		p.Env = append(p.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(p.Start())
	go func() { p.ended <- p.Wait() }()
	ts.Defer(func() { _ = p.Process.Kill() })
	if h.processes == nil {
		h.processes = map[string]*process{}
	}
	h.processes[args[0]] = p
	p.heard(ts, args[0], args[1])
}

func exists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0 && !info.IsDir()
}

func (p *process) heard(ts *testscript.TestScript, name, text string) {
	pattern, err := regexp.Compile("(?m)" + text)
	ts.Check(err)
	found, err := p.said.await(pattern, p.ended)
	ts.Check(err)
	for i, group := range found[1:] {
		ts.Setenv(fmt.Sprintf("%s_%d", name, i+1), group)
	}
}

func running(ts *testscript.TestScript, name string) *process {
	p := hostOf(ts).processes[name]
	if p == nil {
		ts.Fatalf("nothing called %s was started", name)
	}
	return p
}

func cmdAwaitSaid(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 2, "await-said NAME REGEXP")
	running(ts, args[0]).heard(ts, args[0], args[1])
}

func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 2, "signal NAME INT|TERM|HUP|USR1")
	signals := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1}
	ts.Check(running(ts, args[0]).Process.Signal(signals[args[1]]))
}

func cmdFinish(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 2, "finish NAME CODE")
	p := running(ts, args[0])
	var err error
	select {
	case err = <-p.ended:
	case <-time.After(patience):
		ts.Fatalf("%s does not end", args[0])
	}
	fmt.Fprint(ts.Stdout(), p.said.out.String())
	fmt.Fprint(ts.Stderr(), p.said.err.String())
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[1] {
		ts.Fatalf("it exits with %d\n%s", code, p.said.both.String())
	}
}

// cmdSimulate starts a simulated AWS with the demo's organization, by the machine's clock, for a server that the script
// starts itself. It leaves the address in AWS_ENDPOINT, a key in aws.json, and the ids of people in ID_DANA and so on.
func cmdSimulate(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 0, "simulate")
	o, given, err := org.Describe("organization.yaml", demo.Organization)
	ts.Check(err)
	s := sandbox.New(sandbox.Options{Organization: o, Assignments: given, Seed: 1, Behaviour: sandbox.Behaviour{AssignmentTakes: -1, CallsPerSecond: -1}})
	web := httptest.NewServer(s)
	ts.Defer(func() {
		web.CloseClientConnections()
		web.Close()
	})
	key, err := json.Marshal(s.Key(o.ManagementAccount, "sparekey"))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("aws.json"), key, 0o600))
	ts.Setenv("AWS_ENDPOINT", web.URL)
	hostOf(ts).simulated = s
	for _, p := range o.People[:12] {
		ts.Setenv("ID_"+strings.ToUpper(p.User), string(p.ID))
	}
}

// cmdAskedOnly holds every call that the simulated AWS was asked for against an expression; there must be some.
func cmdAskedOnly(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 1, "asked-only REGEXP")
	pattern, err := regexp.Compile("^(" + args[0] + ")$")
	ts.Check(err)
	calls := hostOf(ts).simulated.Calls()
	for _, c := range calls {
		if !pattern.MatchString(c.Operation) || c.Changed {
			ts.Fatalf("it was asked for %s %s, which changed something: %v", c.Service, c.Operation, c.Changed)
		}
	}
	if len(calls) == 0 {
		ts.Fatalf("it was asked for nothing")
	}
}

// cmdAWS runs the AWS CLI with nothing of this machine's configuration.
func cmdAWS(ts *testscript.TestScript, neg bool, args []string) {
	path, err := exec.LookPath("aws")
	if err != nil {
		if os.Getenv("SPAREKEY_JUDGES") == "all" {
			ts.Fatalf("aws is not on the PATH; install it with: pip install awscli")
		}
		fmt.Fprintln(ts.Stderr(), "aws is not on the PATH; install it with: pip install awscli")
		return
	}
	c := exec.Command(path, args...)
	var said bytes.Buffer
	c.Stdout, c.Stderr = ts.Stdout(), &said
	home := ts.Getenv("WORK")
	c.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "PYENV_ROOT=" + pyenv(), "AWS_CONFIG_FILE=" + home + "/none", "AWS_SHARED_CREDENTIALS_FILE=" + home + "/none",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1", "AWS_PAGER=", "LC_ALL=C.UTF-8", "AWS_DEFAULT_REGION=" + ts.Getenv("AWS_DEFAULT_REGION"),
		"AWS_ACCESS_KEY_ID=" + ts.Getenv("AWS_ACCESS_KEY_ID"), "AWS_SECRET_ACCESS_KEY=" + ts.Getenv("AWS_SECRET_ACCESS_KEY"),
	}
	err = c.Run()
	fmt.Fprint(ts.Stderr(), said.String())
	if (err != nil) != neg {
		ts.Fatalf("aws: %v\n%s", err, said.String())
	}
}

// pyenv is where a pyenv shim looks for the program itself.
func pyenv() string {
	if root := os.Getenv("PYENV_ROOT"); root != "" {
		return root
	}
	return os.Getenv("HOME") + "/.pyenv"
}

// cmdSaid makes what a process has said so far the output that is looked at.
func cmdSaid(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 1, "said NAME")
	p := running(ts, args[0])
	p.said.mu.Lock()
	defer p.said.mu.Unlock()
	fmt.Fprint(ts.Stdout(), p.said.out.String())
	fmt.Fprint(ts.Stderr(), p.said.err.String())
}

// cmdUntilReady asks a server that another process is until it has read the organization.
func cmdUntilReady(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 0, "until-ready [PERSON]")
	url, token := ts.Getenv("SPAREKEY_URL"), ts.Getenv("SPAREKEY_TOKEN")
	if len(args) > 0 {
		var left demo.Running
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(filepath.Join(hostOf(ts).runtime, "sparekey", "demo.json"))), &left))
		url, token = left.Address, left.Tokens[args[0]]
	}
	q, err := http.NewRequest(http.MethodGet, url+"/v1/status", nil)
	ts.Check(err)
	q.Header.Set("Authorization", "Bearer "+token)
	ts.Check(within(func() bool {
		answer, err := http.DefaultClient.Do(q)
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		var s struct{ Ready bool }
		return json.NewDecoder(answer.Body).Decode(&s) == nil && s.Ready
	}, func() string { return "the organization was not read" }))
}

// cmdGet asks as a load balancer or Prometheus does.
func cmdGet(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 2, "get STATUS URL")
	answer, err := http.Get(args[1])
	ts.Check(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	ts.Check(err)
	_, _ = ts.Stdout().Write(body)
	if fmt.Sprint(answer.StatusCode) != args[0] {
		ts.Fatalf("%s answers %s: %s", args[1], answer.Status, body)
	}
}
