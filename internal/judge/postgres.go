package judge

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver with which databases are made
)

// One server serves a whole test process; every test has a database of its own.
var postgres struct {
	once sync.Once
	dir  string
	err  error
	made atomic.Int64
	stop func() // never called, but held: when its pipe is collected, the server ends
}

// Postgres makes an empty database for the test on a server of this test process and returns its address. Nothing is
// flushed to the disk: what is tested is the death of our processes, not of the machine.
func Postgres(t testing.TB) string {
	t.Helper()
	initdb := Find(t, "initdb", "apt-get install postgresql, and put /usr/lib/postgresql/*/bin on the PATH")
	postgres.once.Do(func() { postgres.dir, postgres.stop, postgres.err = startServer(initdb) })
	if postgres.err != nil {
		t.Fatalf("starting PostgreSQL: %v", postgres.err)
	}
	name := fmt.Sprintf("test%d", postgres.made.Add(1))
	admin, err := sql.Open("pgx", address("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		admin, err := sql.Open("pgx", address("postgres"))
		if err != nil {
			return
		}
		defer admin.Close()
		_, _ = admin.Exec("DROP DATABASE " + name + " WITH (FORCE)")
	})
	return address(name)
}

func address(database string) string {
	return fmt.Sprintf("postgres://sparekey@/%s?host=%s&sslmode=disable", database, postgres.dir)
}

// startServer makes a server with nothing in it and starts it.
func startServer(initdb string) (dir string, stop func(), err error) {
	dir, as, err := serverFolder()
	if err != nil {
		return "", nil, err
	}
	c := exec.Command(initdb, "-D", filepath.Join(dir, "data"), "-U", "sparekey", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	c.Dir, c.SysProcAttr = dir, as
	if said, err := c.CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("initdb: %w: %s", err, said)
	}
	stop, err = serve(initdb, dir, as)
	return dir, stop, err
}

// serverFolder makes a folder for a server, and says as whom the server runs.
func serverFolder() (dir string, as *syscall.SysProcAttr, err error) {
	if dir, err = os.MkdirTemp("", "pg"); err != nil { // short, since a socket's path may have 107 bytes
		return "", nil, err
	}
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		as, err = otherUser(dir)
	}
	return dir, as, err
}

// serve starts the server that is beside initdb on the data in a folder, which has its socket too and is removed with it.
func serve(initdb, dir string, as *syscall.SysProcAttr) (stop func(), err error) {
	real, err := filepath.EvalSymlinks(initdb)
	if err != nil {
		return nil, err
	}
	server := filepath.Join(filepath.Dir(real), "postgres")
	if _, err := os.Stat(server); err != nil {
		if server, err = exec.LookPath("postgres"); err != nil {
			return nil, err
		}
	}
	c := exec.Command(server, "-D", filepath.Join(dir, "data"), "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off",
		"-c", "synchronous_commit=off", "-c", "max_connections=200", "-c", "log_min_messages=warning", "-c", "log_startup_progress_interval=0", "-c", "lc_messages=C")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c.Dir, c.SysProcAttr, c.Stdout, c.Stderr = dir, as, log, log
	if stop, err = leashed(c, "QUIT", dir); err != nil {
		return nil, err
	}
	return stop, awaitPostgres(dir, log.Name())
}

func awaitPostgres(dir, log string) error {
	db, err := sql.Open("pgx", "postgres://sparekey@/postgres?sslmode=disable&host="+dir)
	if err != nil {
		return err
	}
	defer db.Close()
	for range 300 {
		if err = db.Ping(); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond) // it has no other way to say that it is ready
	}
	said, _ := os.ReadFile(log)
	return fmt.Errorf("no answer within 15 s: %w\n%s", err, said)
}

func otherUser(dir string) (*syscall.SysProcAttr, error) {
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}
