// Package demo is the demo: sandbox, server, people to sign in as.
//
// It makes what the server is then put together with: a sandbox of AWS on loopback, a database and rules in a temporary
// folder, a token for each of eighty people. Nothing else can be given to it, neither a database that it did not make nor
// another endpoint, and it is not part of how a real server runs: acting as somebody by name (--as) works because the
// tokens of everybody lie in a file that this package wrote, for the person who started the demo alone.
package demo
