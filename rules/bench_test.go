package rules_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"sparekey/internal/rig"
	"sparekey/org"
	"sparekey/rules"
)

var morning = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func largeBook(b *testing.B, longer int) *rules.Book {
	b.Helper()
	book, err := rules.Parse(rig.LargeBook(longer), rules.DefaultLongest)
	if err != nil {
		b.Fatal(err)
	}
	return book
}

// large is the rig's large organization and rules, ready to judge.
func large(b *testing.B) (rules.Set, org.Organization) {
	o := rig.Large()
	return largeBook(b, 0).In(org.NewMirror(o)).At(rules.Facts{Now: morning}), o
}

// BenchmarkJudge is what `sparekey why` asks; most of it is to say why not.
func BenchmarkJudge(b *testing.B) {
	s, o := large(b)
	rig.Spread(b, func(i int) {
		s.Judge(o.People[i*7919%len(o.People)], rules.Ask{Target: org.Target{Account: o.Accounts[i*31%len(o.Accounts)].ID, PermissionSet: o.PermissionSets[i%len(o.PermissionSets)].ARN}, For: time.Hour, Reason: "r"})
	})
}

// BenchmarkOffers lists 200 things that somebody may ask for: the first, late ones, those of accounts found by a part of their
// name, by a tag, by the name of a permission set, and a search that finds nothing.
func BenchmarkOffers(b *testing.B) {
	s, o := large(b)
	for name, in := range map[string]func(i int) rules.Search{
		"first":    func(int) rules.Search { return rules.Search{} },
		"late":     func(i int) rules.Search { return rules.Search{After: rules.Spot{Account: o.Accounts[9000+i%900].ID}} },
		"account":  func(i int) rules.Search { return rules.Search{Account: fmt.Sprintf("-%03d", i%100*10)} },
		"tag":      func(i int) rules.Search { return rules.Search{Account: fmt.Sprintf("TEAM=%d", i%50)} },
		"set":      func(i int) rules.Search { return rules.Search{PermissionSet: fmt.Sprintf("set%02d", i%50)} },
		"nowhere":  func(int) rules.Search { return rules.Search{Account: "no such account"} },
		"all of a": func(int) rules.Search { return rules.Search{Account: "a", PermissionSet: "s"} },
	} {
		b.Run(name, func(b *testing.B) {
			rig.Spread(b, func(i int) {
				n := 0
				for range s.Find(o.People[i*7919%len(o.People)], in(i)) {
					if n++; n == 200 {
						break
					}
				}
			})
		})
	}
}

// BenchmarkMirror is how much memory the organization and the rules bound to it take.
func BenchmarkMirror(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s, _ := large(b)
	runtime.GC()
	runtime.ReadMemStats(&after)
	for b.Loop() {
		_ = s.Ready()
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MB")
	runtime.KeepAlive(s)
}

// BenchmarkBind is what a reload of the rules or a new mirror costs.
func BenchmarkBind(b *testing.B) {
	book, m := largeBook(b, 0), org.NewMirror(rig.Large())
	for b.Loop() {
		book.In(m)
	}
}

// BenchmarkDiff compares a book with one in which ten rules are longer, and with one in which every rule is.
func BenchmarkDiff(b *testing.B) {
	m := org.NewMirror(rig.Large())
	before := largeBook(b, 0).In(m)
	for _, longer := range []int{10, 1000} {
		after := largeBook(b, longer).In(m)
		b.Run(fmt.Sprintf("%d rules", longer), func(b *testing.B) {
			for b.Loop() {
				if e := rules.Diff(before, after); e.Totals.Wider == 0 {
					b.Fatal("nothing is found")
				}
			}
		})
	}
}
