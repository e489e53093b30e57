// Package chaos plays what befalls real processes: death, a stop past the lease, an old backup, an upgrade, a lagging standby.
//
// It is tests only: `make chaos RUNS=n` plays n runs, `make chaos SEED=x RUNS=1` plays one again, and the ordinary tests play a
// short one. Each run has a sandbox of AWS in the test's process, which outlives everything, and processes of the real program
// over SQLite or PostgreSQL, to which people speak over the API. What is drawn from the seed is the plot: who asks for what, and
// what befalls which process at which of its calls of AWS. How fast the processes go is the machine's business, so that a run that
// is played again has the same plot and not the same moments.
package chaos
