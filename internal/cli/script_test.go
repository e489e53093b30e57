package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this test binary the program too: scripts run it as the command sparekey, in a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sparekey": func() { os.Exit(Main()) }})
}

// TestScripts runs testdata/script. Beside what testscript brings, scripts have:
//
//	server [takes=DURATION] [unread]   start Sparekey on the demo's organization, with a clock that stands at 2026-11-23 09:00 UTC
//	clock DURATION                     let time pass, doing everything at its moment
//	settle                             let time pass until AWS and the lane have nothing to do
//	await PERSON                       wait until a request of the person's waits for a decision
//	fault KIND OPERATION [key=value]   make AWS stumble: see sandbox.Fault; fault clear ends it
//	someone VERB PERSON [GROUP]        enable, disable, forget (no status) or remove a person; join or leave a group
//	elsewhere give|take PERSON SET ACCOUNT   somebody else changes an assignment in AWS
//	[!] assigned PERSON SET ACCOUNT    the truth behind AWS's listings
//	read-organization                  what the background does every five minutes
//	exits CODE COMMAND…                run a command that ends with this exit code
//	capture NAME REGEXP                put what stdout has into an environment variable: the first group, or all
//	shape                              write how the JSON on stdout is built to standard output: a line for each path and its type
//	logged REGEXP                      the server's log has this
//	recorded KIND [DETAIL…]            the record has an event of this kind, with these words
//	start NAME REGEXP COMMAND…         run a command in the background and wait until it has said this
//	await-said NAME REGEXP             wait until it has said this, after what was waited for before
//	signal NAME SIGNAL                 send it INT, TERM or HUP
//	finish NAME CODE                   wait for its end; its output is then that of the last command
//	mode PERMISSIONS FILE              the file or folder has these permissions
//	aws …                              the AWS CLI; the script is skipped where there is none
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   filepath.Join("testdata", "script"),
		Setup: prepare,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": cmdServer, "clock": cmdClock, "settle": cmdSettle, "await": cmdAwait, "fault": cmdFault, "someone": cmdSomeone, "elsewhere": cmdElsewhere,
			"assigned": cmdAssigned, "read-organization": cmdRead, "exits": cmdExits, "capture": cmdCapture, "shape": cmdShape, "logged": cmdLogged, "recorded": cmdRecorded,
			"start": cmdStart, "await-said": cmdAwaitSaid, "signal": cmdSignal, "finish": cmdFinish, "mode": cmdMode, "aws": cmdAWS, "simulate": cmdSimulate,
		},
		RequireUniqueNames: true,
	})
}

// prepare makes a script's environment: nothing of this machine's but the path.
func prepare(e *testscript.Env) error {
	runtime := filepath.Join(e.WorkDir, ".run")
	e.Vars = append(e.Vars, "TZ=UTC", "XDG_RUNTIME_DIR="+runtime, "SPAREKEY_AS=", "SPAREKEY_URL=", "SPAREKEY_TOKEN=", "SPAREKEY_TOKEN_FILE=", "NO_COLOR=")
	e.Values[hostKey{}] = &host{env: e, runtime: runtime}
	return os.Mkdir(runtime, 0o700)
}
