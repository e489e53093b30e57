package rules

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"sparekey/org"
)

// large is 10,000 accounts, 500 permission sets, 50,000 people in 1,000 groups, and 1,000 rules.
func large(b *testing.B) (*Book, *org.Mirror) {
	b.Helper()
	o := org.Organization{Root: "r-0"}
	for i := range 100 {
		o.OUs = append(o.OUs, org.OU{ID: org.OUID(fmt.Sprintf("ou-%d", i)), Name: fmt.Sprintf("ou%d", i), Parent: "r-0"})
	}
	for i := range 10000 {
		o.Accounts = append(o.Accounts, org.Account{
			ID: org.AccountID(fmt.Sprintf("%012d", i)), Name: fmt.Sprintf("account-%05d", i), Parent: o.OUs[i%100].ID, State: org.AccountActive,
			Tags: map[string]string{"env": []string{"prod", "dev", "test"}[i%3], "team": fmt.Sprint(i % 50)},
		})
	}
	for i := range 500 {
		o.PermissionSets = append(o.PermissionSets, org.PermissionSet{ARN: fmt.Sprintf("arn:set-%d", i), Name: fmt.Sprintf("Set%03d", i), Session: time.Hour})
	}
	for i := range 1000 {
		o.Groups = append(o.Groups, org.Group{ID: org.GroupID(fmt.Sprintf("g-%d", i)), Name: fmt.Sprintf("group-%d", i)})
	}
	for i := range 50000 {
		p := org.Person{ID: org.PersonID(fmt.Sprintf("p-%d", i)), User: fmt.Sprintf("user-%d", i), Status: org.StatusEnabled}
		for j := range 10 {
			p.Groups = append(p.Groups, o.Groups[(i+j*97)%1000].ID)
		}
		o.People = append(o.People, p)
	}
	var text strings.Builder
	text.WriteString("rules:\n")
	for i := range 1000 {
		fmt.Fprintf(&text, "  - name: rule-%d\n    who: {groups: [group-%d, group-%d]}\n    what: {permission-sets: [Set%03d, Set%03d]}\n    where: {ous: [ou%d, ou%d], tags: {env: prod}}\n    for: %dh\n    approval: {need: %d, groups: [group-%d]}\n",
			i, i, (i+7)%1000, i%500, (i+11)%500, i%100, (i+3)%100, i%8+1, i%3+1, (i+500)%1000)
	}
	book, err := Parse([]File{{"large.yaml", []byte(text.String())}}, DefaultLongest)
	if err != nil {
		b.Fatal(err)
	}
	return book, org.NewMirror(o)
}

// spread reports what one in a hundred takes at least, beside the mean.
func spread(b *testing.B, each func(i int)) {
	var took []time.Duration
	i := 0
	for b.Loop() {
		began := time.Now()
		each(i)
		took = append(took, time.Since(began))
		i++
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkJudge is what `sparekey why` asks; most of it is to say why not.
func BenchmarkJudge(b *testing.B) {
	book, m := large(b)
	s := book.In(m).At(Facts{Now: noon})
	people, accounts, sets := m.Organization().People, m.Organization().Accounts, m.Organization().PermissionSets
	spread(b, func(i int) {
		s.Judge(people[i*7919%len(people)], Ask{Target: org.Target{Account: accounts[i*31%len(accounts)].ID, PermissionSet: sets[i%len(sets)].ARN}, For: time.Hour, Reason: "r"})
	})
}

// BenchmarkOffers lists the first 200 things that somebody may ask for.
func BenchmarkOffers(b *testing.B) {
	book, m := large(b)
	s := book.In(m).At(Facts{Now: noon})
	people := m.Organization().People
	spread(b, func(i int) {
		n := 0
		for range s.Offers(people[i*7919%len(people)]) {
			if n++; n == 200 {
				break
			}
		}
	})
}

// BenchmarkMirror is how much memory the organization and the rules bound to it take.
func BenchmarkMirror(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	book, m := large(b)
	s := book.In(m)
	runtime.GC()
	runtime.ReadMemStats(&after)
	for b.Loop() {
		_ = s.Ready()
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MB")
	runtime.KeepAlive(m)
}

// BenchmarkBind is what a reload of the rules or a new mirror costs.
func BenchmarkBind(b *testing.B) {
	book, m := large(b)
	for b.Loop() {
		book.In(m)
	}
}

// BenchmarkDiff compares a book with one in which ten rules are longer, and with one in which every rule is.
func BenchmarkDiff(b *testing.B) {
	book, m := large(b)
	before := book.In(m)
	for _, c := range []struct {
		name    string
		changed int
	}{{"10 rules", 10}, {"every rule", len(book.Rules)}} {
		other := &Book{}
		for i, r := range book.Rules {
			copied := *r
			if i < c.changed {
				copied.For.Duration += time.Hour
			}
			other.Rules = append(other.Rules, &copied)
		}
		if err := other.seal(); err != nil {
			b.Fatal(err)
		}
		after := other.In(m)
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if e := Diff(before, after); e.Totals.Wider == 0 {
					b.Fatal("nothing is found")
				}
			}
		})
	}
}
