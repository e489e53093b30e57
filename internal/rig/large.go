package rig

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sparekey/org"
	"sparekey/rules"
)

// Large is an organization for benchmarks: 10,000 accounts in 100 OUs, 500 permission sets, 50,000 people in 1,000 groups.
func Large() org.Organization {
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
	return o
}

// LargeBook is 1,000 rules for [Large]. The first of them, as many as longer says, lend for an hour more.
func LargeBook(longer int) []rules.File {
	var text strings.Builder
	text.WriteString("rules:\n")
	for i := range 1000 {
		hours := i%8 + 1
		if i < longer {
			hours++
		}
		fmt.Fprintf(&text, `  - name: rule-%d
    who: {groups: [group-%d, group-%d]}
    what: {permission-sets: [Set%03d, Set%03d]}
    where: {ous: [ou%d, ou%d], tags: {env: prod}}
    for: %dh
    approval: {need: %d, groups: [group-%d]}
`, i, i, (i+7)%1000, i%500, (i+11)%500, i%100, (i+3)%100, hours, i%3+1, (i+500)%1000)
	}
	return []rules.File{{Name: "large.yaml", Text: []byte(text.String())}}
}

// Spread runs what a benchmark measures, and reports what one in a hundred takes at least beside the mean.
func Spread(b *testing.B, each func(i int)) {
	b.Helper()
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		each(i)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
