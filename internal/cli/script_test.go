package cli

import (
	"errors"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"sparekey/internal/judge"
)

var update = flag.Bool("update", false, "write what scripts compare JSON's shape with anew")

// TestMain makes this test binary the program too: scripts run it as the command sparekey, in a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sparekey": func() { os.Exit(Main()) }})
}

// TestScripts runs testdata/script. Beside what testscript brings, scripts have:
//
//	server [takes=DURATION] [tickets=FILE] [unread]   start Sparekey on the demo's organization, with a clock that stands at 2026-11-23 09:00 UTC
//	                                   its address is in $ADDRESS, tokens in $TOKEN_DANA, $TOKEN_KIM and $TOKEN_AMY
//	clock DURATION                     let time pass, doing everything at its moment
//	settle                             let time pass until AWS and the lane have nothing to do
//	fault KIND OPERATION [key=value]   make AWS stumble: see sandbox.Fault; fault clear ends it
//	disk full|free                     what is left on the disk with the database
//	someone VERB PERSON [GROUP]        enable, disable, forget (no status) or remove a person; join or leave a group
//	elsewhere give|take PERSON SET ACCOUNT   somebody else changes an assignment in AWS
//	[!] assigned PERSON SET ACCOUNT    the truth behind AWS's listings
//	[!] member PERSON GROUP            the truth behind the identity store's listings
//	until-held PERSON SET              wait for a grant that another process causes, and let it begin
//	odd NAME TEXT                      put text with escapes (\x1b, \n, \u202e) into an environment variable
//	background                         wait until the background has read the organization for the first time
//	[!] read-organization                  what the background does every five minutes
//	exits CODE[|CODE] COMMAND…         run a command that ends with this exit code
//	capture NAME REGEXP                put what stdout has into an environment variable: the first group, or all
//	shape                              write how the JSON on stdout is built to standard output: a line for each path and its type
//	logged REGEXP                      the server's log has this
//	recorded KIND [DETAIL…]            the record has an event of this kind, with these words
//	start NAME REGEXP COMMAND…         run a command in the background and wait until it has said this; what the expression's
//	                                   groups found is in $NAME_1, $NAME_2 and so on
//	await-said NAME REGEXP             wait until it has said this, after what was waited for before
//	signal NAME SIGNAL                 send it INT, TERM, HUP or USR1
//	finish NAME CODE                   wait for its end; its output is then that of the last command
//	said NAME                          make what it has said so far the output that is looked at
//	until-ready [PERSON]               wait until the server of $SPAREKEY_URL, or the demo, has read the organization
//	fill TEMPLATE FILE                 write a file with the environment's variables in their places
//	simulate                           start a simulated AWS by the machine's clock: $AWS_ENDPOINT, aws.json, $ID_DANA …
//	asked-only REGEXP                  the simulated AWS was asked for something, and for nothing but such operations
//	get STATUS URL                     fetch a page without a token: it has this status, and its body is the output that is looked at
//	mode PERMISSIONS FILE              the file or folder has these permissions
//	aws …                              the AWS CLI; the script is skipped where there is none
func TestScripts(t *testing.T) { scripts(t, "script", prepare) }

// TestScriptsOnPostgreSQL runs those that need several processes over one database, whose address is $POSTGRES.
func TestScriptsOnPostgreSQL(t *testing.T) {
	scripts(t, "postgres", func(e *testscript.Env) error {
		err := prepare(e)
		e.Setenv("POSTGRES", judge.Postgres(t))
		return err
	})
}

// TestScriptsWithS3 runs those that need an S3, whose address is $S3 and which has a bucket "ends".
func TestScriptsWithS3(t *testing.T) {
	scripts(t, "s3", func(e *testscript.Env) error {
		address := judge.Moto(t)
		e.Setenv("S3", address)
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPut, address+"/ends", nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(q)
		if err != nil {
			return err
		}
		return errors.Join(answer.Body.Close(), prepare(e))
	})
}

func scripts(t *testing.T, folder string, prepare func(*testscript.Env) error) {
	testscript.Run(t, testscript.Params{
		Dir:   filepath.Join("testdata", folder),
		Setup: prepare,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": cmdServer, "clock": cmdClock, "settle": cmdSettle, "fault": cmdFault, "disk": cmdDisk, "someone": cmdSomeone, "elsewhere": cmdElsewhere,
			"assigned": cmdAssigned, "member": cmdMember, "read-organization": cmdRead, "exits": cmdExits, "capture": cmdCapture, "shape": cmdShape, "logged": cmdLogged, "recorded": cmdRecorded,
			"start": cmdStart, "await-said": cmdAwaitSaid, "signal": cmdSignal, "finish": cmdFinish, "mode": cmdMode, "aws": cmdAWS, "simulate": cmdSimulate, "asked-only": cmdAskedOnly, "odd": cmdOdd, "until-held": cmdUntilHeld,
			"background": cmdBackground, "fill": cmdFill, "said": cmdSaid, "until-ready": cmdUntilReady, "get": cmdGet,
		},
		RequireUniqueNames: true,
		UpdateScripts:      *update,
	})
}

// prepare makes a script's environment: nothing of this machine's but the path.
func prepare(e *testscript.Env) error {
	runtime := filepath.Join(e.WorkDir, ".run")
	e.Vars = append(e.Vars, "TZ=UTC", "XDG_RUNTIME_DIR="+runtime, "SPAREKEY_AS=", "SPAREKEY_URL=", "SPAREKEY_TOKEN=", "SPAREKEY_TOKEN_FILE=", "NO_COLOR=")
	e.Values[hostKey{}] = &host{vars: e.Vars, after: e.Defer, runtime: runtime}
	return os.Mkdir(runtime, 0o700)
}
