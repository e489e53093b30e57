package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sparekey/access"
	"sparekey/strict"
)

// The exit codes.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
	exitWaiting = 4
	exitUnknown = 5
)

// Main runs the program with the process's arguments and returns its exit code.
func Main() int {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // the end of its terminal ends it, unless nohup was asked for
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	defer stop()
	a := &app{out: os.Stdout, err: os.Stderr, colour: colourful(os.Stdout)}
	return a.run(ctx, os.Args[1:])
}

// app is one run of the program.
type app struct {
	out, err io.Writer
	colour   bool
	as       string
	output   string
}

// alsoOutput is the annotation of a command that knows one more form of output.
const alsoOutput = "output"

// failure is an error with its exit code and its hint.
type failure struct {
	code    int
	message string
	hint    string
}

func (f *failure) Error() string { return f.message }

func usage(hint, format string, args ...any) error {
	return &failure{exitUsage, fmt.Sprintf(format, args...), hint}
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	return a.explain(err)
}

// explain says an error, and returns the exit code.
func (a *app) explain(err error) int {
	var f *failure
	var many strict.Errors
	var problem *access.Problem
	switch {
	case errors.As(err, &f):
		if f.message != "" {
			a.say(f.message, f.hint)
		}
		return f.code
	case errors.As(err, &many):
		for _, e := range many {
			a.say(strings.TrimPrefix(e.Position.String()+": "+e.Problem, ": "), e.Hint) // not everything has a place
		}
		return exitFailed
	case errors.As(err, &problem):
		a.say(problem.Message, problem.Hint)
		return exitFailed
	case errors.Is(err, context.Canceled):
		a.say("interrupted", "")
		return exitFailed
	}
	a.say(err.Error(), "")
	return exitFailed
}

func (a *app) say(message, hint string) {
	fmt.Fprintf(a.err, "error: %s\n", message)
	if hint != "" {
		fmt.Fprintf(a.err, "hint: %s\n", hint)
	}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "sparekey", Short: "Lends keys to an AWS organization",
		Long: "Sparekey lends keys to an AWS organization: ask for access to an account, somebody approves, AWS gives it, and it ends by itself.\n\n" +
			"`sparekey demo` shows it on a simulated organization. With a real server, set SPAREKEY_URL and SPAREKEY_TOKEN (or SPAREKEY_TOKEN_FILE).",
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			if a.output == "text" || a.output == "json" || a.output == c.Annotations[alsoOutput] {
				return nil
			}
			known := "--output text or --output json"
			if also := c.Annotations[alsoOutput]; also != "" {
				known = "--output text, json or " + also
			}
			return usage(known, "there is no output %q", a.output)
		},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage(fmt.Sprintf("`%s --help` lists its flags", c.CommandPath()), "%v", err)
	})
	root.PersistentFlags().StringVar(&a.as, "as", os.Getenv("SPAREKEY_AS"), "in the demo: the person to act as (or SPAREKEY_AS)")
	root.PersistentFlags().StringVarP(&a.output, "output", "o", "text", "text or json")
	root.AddGroup(&cobra.Group{ID: "access", Title: "Access:"}, &cobra.Group{ID: "duties", Title: "Duties and arrangements:"}, &cobra.Group{ID: "rules", Title: "Rules:"}, &cobra.Group{ID: "run", Title: "Running Sparekey:"})
	parent(root)
	for group, commands := range map[string][]*cobra.Command{
		"access": {a.accessCommand(), a.approvalsCommand(), a.approveCommand(), a.rejectCommand(), a.requestsCommand(), a.grantsCommand(), a.extendCommand(), a.endCommand(), a.killsCommand(), a.whyCommand(), a.stopCommand(), a.stopsCommand(), a.driftCommand()},
		"duties": {a.reviewsCommand(), a.reviewCommand(), a.awayCommand(), a.backCommand(), a.absencesCommand(), a.groupsCommand()},
		"rules":  {a.rulesCommand()},
		"run":    {a.demoCommand(), a.tryCommand(), a.serveCommand(), a.workCommand(), a.backupCommand(), a.restoreCommand(), a.ledgerCommand(), a.recoveryCommand(), a.sweepCommand(), a.sandboxCommand(), a.statusCommand(), a.tokenCommand(), a.versionCommand()},
	} {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	return root
}

// parent makes a command of commands: without one of them it explains itself, and a wrong one is an error.
func parent(c *cobra.Command, children ...*cobra.Command) *cobra.Command {
	c.AddCommand(children...)
	c.Args = cobra.ArbitraryArgs // they are judged below, in our words
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		hint := fmt.Sprintf("`%s --help` lists its commands", c.CommandPath())
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			hint = fmt.Sprintf("did you mean %q?", near[0])
		}
		return usage(hint, "unknown command %q for %q", args[0], c.CommandPath())
	}
	c.SuggestionsMinimumDistance = 2
	return c
}

// takes says how many arguments a command takes, and which.
func takes(least, most int, names string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) > most && most == 0:
			return usage(fmt.Sprintf("`%s --help` says how it is used", c.CommandPath()), "%s takes no arguments, only flags; %q is one", c.CommandPath(), args[0])
		case len(args) < least || len(args) > most:
			return usage(fmt.Sprintf("%s %s", c.CommandPath(), names), "%s takes %s; %d arguments were given", c.CommandPath(), names, len(args))
		}
		return nil
	}
}

var none = takes(0, 0, "")

// needed refuses a command without a flag that it cannot do without.
func needed(flag, value, example string) error {
	if value == "" {
		return usage(fmt.Sprintf("--%s %s", flag, example), "--%s is missing", flag)
	}
	return nil
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Say which Sparekey this is", Args: none,
		RunE: func(*cobra.Command, []string) error {
			if a.output == "json" {
				return a.json(map[string]string{"version": version()})
			}
			fmt.Fprintln(a.out, "sparekey "+version())
			return nil
		},
	}
}

// release is which one this is, where whoever builds it says so: -ldflags "-X sparekey/internal/cli.release=v1.2.3".
var release string

// version is the module's version, or the commit that it was built from.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "dev-" + s.Value[:12]
		}
	}
	return "dev"
}

// duration reads how long something is asked for.
func duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Minute || d%time.Minute != 0 {
		return 0, usage("write it as 45m, 8h or 1h30m", "%q is not a duration in whole minutes", text)
	}
	return d, nil
}
