package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sparekey/internal/sandbox"
	"sparekey/internal/store"
	"sparekey/org"
)

// takesArgs fails a script that does not use a command as it is meant.
func takesArgs(ts *testscript.TestScript, neg, mayNeg bool, args []string, least int, usage string) {
	if neg && !mayNeg || len(args) < least {
		ts.Fatalf("usage: %s", usage)
	}
}

func cmdServer(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 0, "server [takes=DURATION] [tickets=FILE] [unread]")
	h := hostOf(ts)
	var b sandbox.Behaviour
	var faults []sandbox.Fault
	for _, arg := range args {
		if text, ok := strings.CutPrefix(arg, "takes="); ok {
			takes, err := time.ParseDuration(text)
			ts.Check(err)
			b.AssignmentTakes = takes
		} else if file, ok := strings.CutPrefix(arg, "tickets="); ok {
			h.tickets = ts.MkAbs(file)
		} else if arg == "unread" {
			faults = append(faults, sandbox.Fault{Service: "organizations", Kind: sandbox.Denied})
		} else {
			ts.Fatalf("what is %s?", arg)
		}
	}
	ts.Check(h.begin(b, faults...))
	ts.Setenv("ADDRESS", h.address)
	for _, user := range []string{"dana", "kim", "amy"} {
		ts.Setenv("TOKEN_"+strings.ToUpper(user), h.demo.Tokens[user])
	}
}

func cmdClock(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 1, "clock DURATION")
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	ts.Check(hostOf(ts).pass(d))
}

func cmdSettle(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 0, "settle")
	ts.Check(hostOf(ts).settle())
}

// cmdBackground waits until River has read the organization for the first time, a second or two after the start: what a
// script changes in the directory must not meet what River read before.
func cmdBackground(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 0, "background")
	h := hostOf(ts)
	const finished = "SELECT count(*) FROM river_job WHERE kind = 'read-organization' AND finalized_at IS NOT NULL"
	ts.Check(within(func() bool {
		var n int
		ts.Check(h.server.store.SQLite().QueryRow(finished).Scan(&n))
		return n > 0
	}, h.story))
}

func cmdRead(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, true, args, 0, "[!] read-organization")
	if err := hostOf(ts).server.broker.Refresh(context.Background()); (err != nil) != neg {
		ts.Fatalf("reading the organization: %v", err)
	}
}

func cmdFault(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 1, "fault KIND OPERATION [key=value] | fault clear")
	h := hostOf(ts)
	if args[0] == "clear" {
		h.demo.Sandbox.ClearFaults()
		return
	}
	f := map[string]any{"kind": args[0]}
	if len(args) > 1 {
		f["operation"] = args[1]
	}
	for _, arg := range args[min(2, len(args)):] {
		key, value, _ := strings.Cut(arg, "=")
		f[key] = odd(ts, value)
		if n, err := strconv.Atoi(value); err == nil {
			f[key] = n
		}
	}
	text, err := json.Marshal(f)
	ts.Check(err)
	var fault sandbox.Fault
	ts.Check(json.Unmarshal(text, &fault))
	h.demo.Sandbox.Script(fault)
}

func cmdDisk(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 1, "disk full|free")
	hostOf(ts).full.Store(args[0] == "full")
}

func cmdSomeone(ts *testscript.TestScript, neg bool, args []string) {
	const usage = "someone enable|disable|forget|remove PERSON, someone join|leave PERSON GROUP"
	takesArgs(ts, neg, false, args, 2, usage)
	h := hostOf(ts)
	p, ok := h.mirror.PersonNamed(args[1])
	if !ok {
		ts.Fatalf("nobody is called %s", args[1])
	}
	statuses := map[string]org.Status{"enable": org.StatusEnabled, "disable": org.StatusDisabled, "forget": org.StatusUnknown, "remove": org.StatusRemoved}
	ts.Check(h.demo.Sandbox.Change(func(d *sandbox.Directory) error {
		if status, ok := statuses[args[0]]; ok {
			return d.SetStatus(p.ID, status)
		}
		takesArgs(ts, neg, false, args, 3, usage)
		g, ok := h.mirror.Group(args[2])
		if !ok {
			return fmt.Errorf("no group is called %s", args[2])
		}
		if args[0] == "join" {
			return d.Join(p.ID, g.ID)
		}
		return d.Leave(p.ID, g.ID)
	}))
}

// assignment is somebody's access to something, in names.
func (h *host) assignment(args []string) (org.Assignment, error) {
	p, isPerson := h.mirror.PersonNamed(args[0])
	set, isSet := h.mirror.PermissionSet(args[1])
	accounts := h.mirror.AccountsNamed(args[2])
	if !isPerson || !isSet || len(accounts) != 1 {
		return org.Assignment{}, fmt.Errorf("there is no %s", strings.Join(args, " "))
	}
	return org.Assignment{Kind: org.User, Principal: string(p.ID), Target: org.Target{Account: accounts[0].ID, PermissionSet: set.ARN}}, nil
}

func cmdElsewhere(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 4, "elsewhere give|take PERSON SET ACCOUNT")
	h := hostOf(ts)
	a, err := h.assignment(args[1:])
	ts.Check(err)
	ts.Check(h.demo.Sandbox.Change(func(d *sandbox.Directory) error {
		if args[0] == "give" {
			return d.Assign(a)
		}
		return d.Unassign(a)
	}))
}

func cmdAssigned(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, true, args, 3, "[!] assigned PERSON SET ACCOUNT")
	h := hostOf(ts)
	a, err := h.assignment(args)
	ts.Check(err)
	if h.demo.Sandbox.Assigned(a) == neg {
		ts.Fatalf("in AWS the assignment is there: %v", neg)
	}
}

// cmdMember looks at the truth behind the identity store's listings.
func cmdMember(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, true, args, 2, "[!] member PERSON GROUP")
	is := slices.ContainsFunc(hostOf(ts).demo.Sandbox.State().People, func(p sandbox.StatePerson) bool {
		return p.User == args[0] && slices.Contains(p.Groups, args[1])
	})
	if is == neg {
		ts.Fatalf("in AWS %s is in %s: %v", args[0], args[1], is)
	}
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 2, "exits CODE[|CODE] COMMAND…")
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if !slices.Contains(strings.Split(args[0], "|"), strconv.Itoa(code)) {
		ts.Fatalf("it exits with %d", code)
	}
}

func cmdCapture(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 2, "capture NAME REGEXP")
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	found := pattern.FindStringSubmatch(ts.ReadFile("stdout"))
	if found == nil {
		ts.Fatalf("stdout has no %s", args[1])
	}
	ts.Setenv(args[0], found[len(found)-1])
}

// cmdShape says how the JSON on stdout is built, so that a script can hold on to it.
func cmdShape(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 0, "shape")
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	paths := map[string]bool{}
	shape("", v, paths)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		fmt.Fprintln(ts.Stdout(), path)
	}
}

func shape(at string, v any, paths map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			shape(at+"."+key, value, paths)
		}
	case []any:
		for _, item := range v {
			shape(at+"[]", item, paths)
		}
		if len(v) == 0 {
			paths[at+" []"] = true
		}
	default:
		paths[fmt.Sprintf("%s %T", at, v)] = true
	}
}

func cmdLogged(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, true, args, 1, "[!] logged REGEXP")
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	if text := hostOf(ts).log.String(); pattern.MatchString(text) == neg {
		ts.Fatalf("the server's log has it: %v\n%s", neg, text)
	}
}

// cmdRecorded looks for an event of a kind that has some words.
func cmdRecorded(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, true, args, 1, "[!] recorded KIND [WORDS…]")
	var events []store.Record
	ts.Check(hostOf(ts).server.store.View(context.Background(), func(tx *store.Tx) (err error) { events, err = tx.EventsAfter(0, 100_000); return err }))
	found := slices.ContainsFunc(events, func(e store.Record) bool {
		return e.Kind == args[0] && !slices.ContainsFunc(args[1:], func(word string) bool { return !strings.Contains(string(e.Text), word) })
	})
	if found == neg {
		ts.Fatalf("the record has it: %v\n%s", found, kinds(events))
	}
}

func kinds(events []store.Record) string {
	var text strings.Builder
	for _, e := range events {
		fmt.Fprintln(&text, e.Kind, e.Subject.ID, e.Actor.Kind, e.Actor.ID, e.Detail)
	}
	return text.String()
}

func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 2, "mode PERMISSIONS FILE")
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode()&fs.ModePerm); got != args[0] {
		ts.Fatalf("%s has %s", args[1], got)
	}
}

// odd reads text that holds what is hard to write in a script: \x1b, \n, \u202e.
func odd(ts *testscript.TestScript, text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	read, err := strconv.Unquote(`"` + text + `"`)
	ts.Check(err)
	return strings.ToValidUTF8(read, "?")
}

// cmdOdd puts text with such escapes into an environment variable.
func cmdOdd(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 2, "odd NAME TEXT")
	ts.Setenv(args[0], odd(ts, args[1]))
}

// cmdUntilHeld waits until another process has made a grant, and lets it begin.
func cmdUntilHeld(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 2, "until-held PERSON SET")
	h := hostOf(ts)
	ts.Check(within(func() bool {
		held := false
		ts.Check(h.server.store.View(context.Background(), func(tx *store.Tx) error {
			for g, err := range tx.LiveGrants() {
				if held = held || g.Person.User == args[0] && g.Target.PermissionSetName == args[1]; err != nil {
					return err
				}
			}
			return nil
		}))
		return held
	}, h.story))
	ts.Check(h.settle())
}

// cmdFill writes a file with the environment's variables in their places.
func cmdFill(ts *testscript.TestScript, neg bool, args []string) {
	takesArgs(ts, neg, false, args, 2, "fill TEMPLATE FILE")
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(os.Expand(ts.ReadFile(args[0]), ts.Getenv)), 0o600))
}
