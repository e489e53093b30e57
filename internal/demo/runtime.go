package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"sparekey/strict"
)

// Running is what a running demo leaves for the command line: where it is, and how to be each of its people.
type Running struct {
	Address string            `json:"address"` // URL of the server
	PID     int               `json:"pid"`
	Rules   string            `json:"rules"`            // the folder
	Tokens  map[string]string `json:"tokens,omitempty"` // by user name
	AWS     Endpoint          `json:"aws"`
}

// Endpoint is the simulated AWS, with the key of its management account.
type Endpoint struct {
	URL             string `json:"url"`
	Region          string `json:"region"`
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
	Control         string `json:"control"` // bearer token of the sandbox's control calls
}

// ErrNone says that no demo is running.
var ErrNone = errors.New("no demo is running")

// Find returns the demo that this user runs.
func Find() (Running, error) {
	var r Running
	dir, err := runtimeFolder(false)
	if err != nil {
		return r, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "demo.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return r, ErrNone
	}
	if err != nil {
		return r, fmt.Errorf("reading what the demo left: %w", err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("reading what the demo left: %w", err)
	}
	return r, nil
}

// As returns the token of one of the demo's people.
func (r Running) As(user string) (string, error) {
	if token, ok := r.Tokens[user]; ok {
		return token, nil
	}
	names := make([]string, 0, len(r.Tokens))
	for name := range r.Tokens {
		names = append(names, name)
	}
	slices.Sort(names)
	if near := strict.Nearest(user, names); near != "" {
		return "", fmt.Errorf("nobody in the demo is called %q; did you mean %q?", user, near)
	}
	return "", fmt.Errorf("nobody in the demo is called %q; there are %s and others", user, strings.Join(names[:min(len(names), 6)], ", "))
}

// Alive reports whether the demo still answers.
func (r Running) Alive() bool {
	client := http.Client{Timeout: time.Second}
	answer, err := client.Get(r.Address + "/healthz")
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 16))
	return err == nil && string(text) == "ok\n"
}

// leave writes what the command line needs, for this user alone, and returns what takes it away again.
func leave(r Running) (remove func(), err error) {
	if old, err := Find(); err == nil && old.Alive() {
		return nil, fmt.Errorf("a demo is running already at %s", old.Address)
	}
	dir, err := runtimeFolder(true)
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, "new") // made with 0600
	if err != nil {
		return nil, fmt.Errorf("leaving the demo's tokens: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("leaving the demo's tokens: %w", err)
	}
	file := filepath.Join(dir, "demo.json")
	if err := os.Rename(f.Name(), file); err != nil {
		return nil, fmt.Errorf("leaving the demo's tokens: %w", err)
	}
	return func() { _ = os.Remove(file) }, nil
}

// runtimeFolder is a folder that only this user can read: below XDG_RUNTIME_DIR, or else one in the temporary folder that is
// checked to be theirs.
func runtimeFolder(create bool) (string, error) {
	if base := os.Getenv("XDG_RUNTIME_DIR"); base != "" {
		dir := filepath.Join(base, "sparekey")
		if create {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return "", fmt.Errorf("making the runtime folder: %w", err)
			}
		}
		return dir, nil
	}
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("sparekey-%d", os.Getuid()))
	if create {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("making the runtime folder: %w", err)
		}
	}
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return dir, nil
	}
	if err != nil {
		return "", err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm() != 0o700 || ok && int(owner.Uid) != os.Getuid() {
		return "", fmt.Errorf("%s is not a folder of yours alone; remove it, or set XDG_RUNTIME_DIR", dir)
	}
	return dir, nil
}
