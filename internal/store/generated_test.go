package store

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var remember = flag.Bool("update", false, "remember what the queries were generated from")

// TestTheQueriesAreGenerated compares a digest of the inputs and of the generated files with the one that was kept when they
// were generated: sqlc takes two minutes to build, so it runs only when one of them has changed.
func TestTheQueriesAreGenerated(t *testing.T) {
	var files []string
	for _, pattern := range []string{"migrations/*.sql", "queries/*.sql", "sqlc.yaml", "query/*.sql.go", "query/db.go", "query/models.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(found), err)
		}
		files = append(files, found...)
	}
	slices.Sort(files)
	digest := sha256.New()
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(digest, "%s %d\n%s", f, len(text), text)
	}
	sum := hex.EncodeToString(digest.Sum(nil)) + "\n"
	const kept = "query/generated.sum"
	if *remember {
		if err := os.WriteFile(kept, []byte(sum), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if was, err := os.ReadFile(kept); err != nil || string(was) != sum {
		t.Errorf("a query, a migration or a generated file has changed since the queries were generated; run make generate (%v)", err)
	}
}
