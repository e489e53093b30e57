package main

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/internal/sandbox/world"
	"sparekey/internal/store"
	"sparekey/org"
)

const (
	crowdEnds  = 100              // of the crowd's grants, one a second
	crowdQuiet = 60 * time.Second // from nearly the start to the first of them
)

// BenchmarkRestartWith100000Grants starts `sparekey serve` on a database with 100,000 active grants of 200 people in 250 accounts,
// of which a hundred end, one a second: how long until it answers, how late its deletes reach AWS, and how much memory it has
// while nothing is due and at most.
func BenchmarkRestartWith100000Grants(b *testing.B) {
	file := program(b)
	var late []time.Duration
	for range b.N {
		late = append(late, restarted(b, file)...)
	}
	slices.Sort(late)
	b.ReportMetric(float64(late[len(late)/2].Milliseconds()), "ms-late-median")
	b.ReportMetric(float64(late[(len(late)*99+99)/100-1].Milliseconds()), "ms-late-p99")
}

// restarted does so once, and returns how late each delete reached AWS.
func restarted(b *testing.B, file string) (late []time.Duration) {
	o, _, err := org.Describe("organization.yaml", []byte(rig.Crowded(250, 200)))
	if err != nil {
		b.Fatal(err)
	}
	grants, given := rig.Crowd(o, time.Now().Truncate(time.Millisecond).Add(-time.Hour), func(int) int { return 10 * 60 })
	box := sandbox.New(sandbox.Options{Organization: o, Assignments: given, Behaviour: sandbox.Behaviour{AssignmentTakes: time.Second}})
	web := httptest.NewServer(box)
	defer web.Close()
	dir := b.TempDir()
	token := configured(b, file, dir, web.URL, box.Key(o.ManagementAccount, "sparekey"), string(o.People[0].ID))
	first := filled(b, filepath.Join(dir, "s.db"), grants)
	ends := map[access.Key]time.Time{}
	for _, g := range grants {
		ends[g.Key()] = g.EndsAt
	}
	began := time.Now()
	c := exec.Command(file, "serve", "--config", filepath.Join(dir, "sparekey.yaml"))
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	answers(b, "http://127.0.0.1:18341", token)
	b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms/start")
	b.ReportMetric(memory(b, c.Process.Pid, "VmRSS", time.Until(first.Add(-2*time.Second))), "idle-MB")
	memory(b, c.Process.Pid, "VmRSS", time.Until(first.Add(crowdEnds*time.Second+5*time.Second)))
	b.ReportMetric(memory(b, c.Process.Pid, "VmHWM", 0), "peak-MB")
	_ = c.Process.Signal(os.Interrupt)
	_ = c.Wait()
	for _, op := range box.State().Operations {
		if op.Kind == world.Delete {
			late = append(late, op.Accepted.Sub(ends[access.Key{Way: access.Assignment, Person: org.PersonID(op.Principal), Target: op.Target}]))
		}
	}
	if len(late) != crowdEnds {
		b.Fatalf("%d deletes reached AWS", len(late))
	}
	return late
}

// filled writes the grants, and then has a hundred of them, in as many accounts, end one a second; it says from when on.
func filled(b *testing.B, file string, grants []access.Grant) (first time.Time) {
	b.Helper()
	s, err := store.Open(b.Context(), "sqlite:"+file)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := rig.Put(b.Context(), s, grants[crowdEnds*401:]); err != nil {
		b.Fatal(err)
	}
	first = time.Now().Truncate(time.Millisecond).Add(crowdQuiet)
	for i := range crowdEnds {
		g := &grants[i*401]
		g.EndsAt = first.Add(time.Duration(i) * time.Second)
		g.HardEnd = g.EndsAt.Add(15 * time.Minute)
	}
	if err := rig.Put(b.Context(), s, grants[:crowdEnds*401]); err != nil {
		b.Fatal(err)
	}
	return first
}

// configured writes what a server needs, and returns the token of a person.
func configured(b *testing.B, file, dir, aws string, key sandbox.Credentials, person string) (token string) {
	b.Helper()
	text, err := json.Marshal(key)
	if err != nil {
		b.Fatal(err)
	}
	token, line := newToken(b, file, person)
	config := fmt.Sprintf("listen: 127.0.0.1:18341\ndatabase: sqlite:s.db\nrules: rules\naws: {region: us-east-1, endpoint: %q, credentials: {file: key.json}}\ntokens:\n%s\n", aws, line)
	for name, text := range map[string]string{"sparekey.yaml": config, "key.json": string(text), "rules/rules.yaml": rig.Book} {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return token
}

// memory reads a process's memory every second for a time, and returns the median, in MB.
func memory(b *testing.B, pid int, what string, during time.Duration) float64 {
	b.Helper()
	var all []float64
	for until := time.Now().Add(during); len(all) == 0 || time.Now().Before(until); {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			b.Skip("the memory of a process is read from /proc: ", err)
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, what+":"); ok {
				kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
				if err != nil {
					b.Fatal(err)
				}
				all = append(all, kb*1024/1e6)
			}
		}
		if during > 0 {
			<-time.After(time.Second)
		}
	}
	slices.Sort(all)
	return all[len(all)/2]
}
