package rig

import (
	"path/filepath"
	"testing"

	"sparekey/internal/judge"
	"sparekey/internal/sandbox"
)

// Engines are the databases that behaviour is shown on.
var Engines = map[string]func(testing.TB) string{
	"SQLite":     func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "s.db") },
	"PostgreSQL": func(t testing.TB) string { return judge.Postgres(t) },
}

// OnBoth runs a test on a rig of each engine.
func OnBoth(t *testing.T, test func(t *testing.T, r *Rig)) {
	for name, address := range Engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, New(t, address(t), sandbox.Behaviour{}))
		})
	}
}
