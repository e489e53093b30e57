package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sparekey/access"
)

func TestASQLiteDatabaseIsOpenInOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	first := open(t, "sqlite:"+path)
	link := path + "-by-another-name"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, link} {
		_, err := Open(t.Context(), "sqlite:"+name)
		var p *access.Problem
		if !errors.As(err, &p) || p.Message != fmt.Sprintf("the process %d has the database %s open", os.Getpid(), name) || !strings.Contains(p.Hint, fmt.Sprintf("kill %d", os.Getpid())) {
			t.Errorf("%s: %v", name, err)
		}
	}
	looking, err := OpenReading(t.Context(), "sqlite:"+path)
	if err != nil {
		t.Fatal("reading beside it:", err)
	}
	looking.Close()
	first.Close()
	open(t, "sqlite:"+path)
}

// TestTheLockOfAProcessThatWasKilledIsFree starts this test's program again as the one that holds the database.
func TestTheLockOfAProcessThatWasKilledIsFree(t *testing.T) {
	if path := os.Getenv("SPAREKEY_HOLD"); path != "" {
		if _, err := Open(context.Background(), "sqlite:"+path); err != nil {
			t.Fatal(err)
		}
		fmt.Println("holding")
		select {}
	}
	path := filepath.Join(t.TempDir(), "s.db")
	holder := exec.Command(os.Args[0], "-test.run=^TestTheLockOfAProcessThatWasKilledIsFree$")
	holder.Env = append(os.Environ(), "SPAREKEY_HOLD="+path)
	out, err := holder.StdoutPipe()
	if err == nil {
		err = holder.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = holder.Process.Kill() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "holding\n" {
		t.Fatalf("the process said %q, %v", line, err)
	}
	if _, err := Open(t.Context(), "sqlite:"+path); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("the process %d has the database", holder.Process.Pid)) {
		t.Errorf("while it lives: %v", err)
	}
	if err := holder.Process.Kill(); err != nil { // SIGKILL
		t.Fatal(err)
	}
	_ = holder.Wait()
	open(t, "sqlite:"+path)
}

func TestWritesAreSynchronous(t *testing.T) {
	s := open(t, "sqlite:"+filepath.Join(t.TempDir(), "s.db"))
	var synchronous int
	var journal string
	err := errors.Join(s.write.QueryRow("PRAGMA synchronous").Scan(&synchronous), s.write.QueryRow("PRAGMA journal_mode").Scan(&journal))
	if err != nil || synchronous != 2 || journal != "wal" { // 2 is FULL
		t.Errorf("synchronous %d, journal %s, %v", synchronous, journal, err)
	}
}
