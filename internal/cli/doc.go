// Package cli is the command line, and puts the parts together.
//
// # How it speaks
//
// Results go to standard output, everything else to standard error; it is plain when that is no terminal. With --output json
// the result is JSON, documented by the API. An error is one line that says what, and one line "hint:" that says what to do.
// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 4 still waiting, 5 not found. No secret is ever an argument.
package cli
