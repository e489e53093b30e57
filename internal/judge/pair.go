package judge

import (
	"database/sql"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Pair is a PostgreSQL server of one test, and a standby that follows it.
type Pair struct {
	primary, standby string // folders of their sockets, and of their data
	stop             func() // the primary
}

// NewPair starts both. They end with the test.
func NewPair(t testing.TB) *Pair {
	t.Helper()
	initdb := Find(t, "initdb", "apt-get install postgresql, and put /usr/lib/postgresql/*/bin on the PATH")
	follow := Find(t, "pg_basebackup", "apt-get install postgresql, and put /usr/lib/postgresql/*/bin on the PATH")
	var p Pair
	var err error
	if p.primary, p.stop, err = startServer(initdb); err != nil {
		t.Fatalf("starting PostgreSQL: %v", err)
	}
	t.Cleanup(p.stop)
	p.query(t, p.primary, "CREATE DATABASE pair")
	dir, as, err := serverFolder()
	if err != nil {
		t.Fatal(err)
	}
	p.standby = dir
	c := exec.Command(follow, "-h", p.primary, "-U", "sparekey", "-D", filepath.Join(dir, "data"), "-R", "-X", "stream", "-c", "fast", "--no-sync")
	c.Dir, c.SysProcAttr = dir, as
	if said, err := c.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v: %s", err, said)
	}
	stop, err := serve(initdb, dir, as)
	if err != nil {
		t.Fatalf("starting the standby: %v", err)
	}
	t.Cleanup(stop)
	return &p
}

// Address names both servers; whoever connects finds the one that can be written to.
func (p *Pair) Address() string {
	return fmt.Sprintf("postgres://sparekey@/pair?host=%s,%s&sslmode=disable&target_session_attrs=read-write", p.primary, p.standby)
}

// Cut has the standby follow no more: what is written from now on it will never know.
func (p *Pair) Cut(t testing.TB) {
	t.Helper()
	p.query(t, p.standby, "ALTER SYSTEM SET primary_conninfo = ''")
	p.query(t, p.standby, "SELECT pg_reload_conf()")
	deadline := time.Now().Add(15 * time.Second)
	for p.query(t, p.standby, "SELECT count(*) FROM pg_stat_wal_receiver") != "0" {
		if time.Now().After(deadline) {
			t.Fatal("the standby goes on following")
		}
		time.Sleep(20 * time.Millisecond) // it has no other way to say so
	}
}

// Promote ends the primary at once, and lets the standby be written to.
func (p *Pair) Promote(t testing.TB) {
	t.Helper()
	p.stop()
	if said := p.query(t, p.standby, "SELECT pg_promote(true, 30)"); said != "true" {
		t.Fatalf("the standby is not promoted: %s", said)
	}
}

// query asks one of the servers, and returns the first value; empty where there is none.
func (p *Pair) query(t testing.TB, at, text string) (said string) {
	t.Helper()
	db, err := sql.Open("pgx", "postgres://sparekey@/postgres?sslmode=disable&host="+at)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()
	var value sql.NullString
	for rows.Next() {
		if err := rows.Scan(&value); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return value.String
}
