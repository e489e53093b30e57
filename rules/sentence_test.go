package rules

import (
	"os"
	"strings"
	"testing"
	"time"

	"sparekey/strict"
)

func TestASentenceThatIsNotUnderstoodSaysWhereAndWhy(t *testing.T) {
	for sentence, want := range map[string]string{
		"dana":                       "it does not begin with PERSON may",
		"dana may take A in b":       "it does not go on with have SET in PLACE, or approve SET in PLACE",
		"dana may have A in b":       "it does not say for how long",
		"dana may have A in b for":   `after "for" it does not say which duration`,
		"dana may have A in b for 1": `"1" is not a duration in whole minutes; write it as 45m, 8h or 1h30m`,
		"dana may have A in b for 1h with no approvals":                    `"with no approvals" is not understood`,
		"dana may have A in b for 1h by":                                   `after "by" it does not say which way`,
		"dana may have A in b for 1h by magic":                             `"magic" is no way to give access; there are assignment, membership and session`,
		"dana may have A in b for 1h reviewed by":                          `after "reviewed by" it does not say which group or person`,
		"dana may have A in b for 1h reviewed by c within soon":            `"soon" is not a duration in whole minutes; write it as 45m, 8h or 1h30m`,
		"dana may have A in b for 1h extended by":                          `after "extended by" it does not say which duration`,
		"dana may have A in b for 1h first":                                `"first" is not understood`,
		"dana may not have A in b by session":                              `"by session" is not understood`,
		"kim may approve A in b":                                           "it does not say for whom",
		"kim may approve A in b for dana once":                             `after "once" it does not say which person has agreed`,
		"kim may approve A in b for dana once ren agreed":                  `after "once ren" it does not go on with has agreed`,
		"kim may approve A in b for dana first once ren has agreed":        "nobody is the first once somebody has agreed",
		"kim may not approve A in b for dana with a comment":               `"with a comment" is not understood`,
		"kim may not approve A in b for dana without being told":           `"without being told" is not understood`,
		"dana may not have A in b at":                                      `after "at" it does not say which time`,
		"dana may not have A in b at noon":                                 `"noon" is not a time like 2026-12-31T03:00:00+09:00`,
		"dana may not have A in b ticket":                                  `after "ticket" it does not say which one`,
		"dana may not have A in b on call in":                              `after "on call in" it does not say which schedule`,
		"dana may not have A in b while":                                   `after "while" it does not say which person or service`,
		"dana may not have A in b while jira sulks":                        `after "jira" it does not say what is the case: says no, is down, is away, stands in for PERSON or is new to GROUP`,
		"dana may not have A in b while lena stands in for":                `after "stands in for" it does not say which person`,
		"dana may not have A in b while kim is new to":                     `after "is new to" it does not say which group`,
		"dana may not have A in b while a review of dana is due":           `after "a review of dana" it does not go on with is overdue`,
		"dana may not have A in b while kim is away while the moon shines": `after "the" it does not say what is the case: says no, is down, is away, stands in for PERSON or is new to GROUP`,
	} {
		_, err := Parse([]File{{"a.yaml", []byte("tests:\n  - '" + sentence + "'\n")}}, DefaultLongest)
		wrong := strict.Problems(err)
		if len(wrong) != 1 || wrong[0].Problem != "test \""+sentence+"\": "+want || wrong[0].Position.String() != "a.yaml:2:5" || wrong[0].Hint != testForm {
			t.Errorf("%s\n got %v\nwant %s", sentence, err, want)
		}
	}
}

func TestASentenceIsReadInAnyOrderOfItsParts(t *testing.T) {
	parse := func(text string) Test {
		test, err := parseTest(strict.Word{Text: text})
		if err != nil {
			t.Fatal(err)
		}
		return test
	}
	one := parse("dana may have A in b for 1h extended by 30m reviewed by c within 2h as sensitive with a comment with two approvals by session on call in d ticket INC-1")
	two := parse(`dana may have "A" in b for 60m by session with 2 approvals with a comment as sensitive reviewed by c within 120m extended by 30m ticket INC-1 on call in d`)
	want := claims{approvals: 2, way: bySession, comment: true, sensitive: true, reviewer: "c", within: 2 * time.Hour, extend: 30 * time.Minute}
	if one.has != want || two.has != want || one.onCall != "d" || two.onCall != "d" || one.ticket != "INC-1" || one.long != two.long {
		t.Errorf("%+v\n%+v", one, two)
	}
	if u := parse("kim may approve A in b for dana with a comment after 5m once ren and lee have agreed without being told").approves; !u.comment || !u.untold || u.after != 5*time.Minute || strings.Join(u.agreed, " ") != "ren lee" {
		t.Errorf("%+v", u)
	}
}

func TestAClaimThatIsNotSoSaysWhatIsInstead(t *testing.T) {
	text, err := os.ReadFile("testdata/bullets/organization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m := described(t, string(text))
	const world = `
sensitive: {permission-sets: [Admin]}
rules:
  - name: agreed
    who: {groups: [developers]}
    what: {permission-sets: [PowerUser]}
    where: {ous: [Workloads]}
    for: 1h
    with: {ticket: {pattern: "INC-[0-9]+", check: jira}}
    extend: 10m
    review: {groups: [security]}
    approval: {need: 1, groups: [prod-approvers], on-call: {schedule: payments}, silent: {groups: [security]}}
  - name: at-once
    who: {groups: [developers]}
    what: {permission-sets: [ReadOnly]}
    where: {ous: [Workloads]}
    for: 1h
    approval: {automatic: true}
tests: ['`
	for sentence, want := range map[string]string{
		"dana may have ReadOnly in shop-prod for 1h by session":                                               `rule "at-once" (rules/a.yaml:13) gives it in shop-prod (100000000003) by assignment`,
		"dana may have ReadOnly in shop-prod for 1h with a comment":                                           `rule "at-once" (rules/a.yaml:13) wants no comment in shop-prod (100000000003)`,
		"dana may have ReadOnly in shop-prod for 1h as sensitive":                                             "it is not marked as sensitive in shop-prod (100000000003)",
		"dana may have ReadOnly in shop-prod for 1h extended by 5m":                                           `rule "at-once" (rules/a.yaml:13) gives it in shop-prod (100000000003) without an extension`,
		"dana may have ReadOnly in shop-prod for 1h reviewed by security":                                     `rule "at-once" (rules/a.yaml:13) lets nobody review it in shop-prod (100000000003)`,
		"dana may have PowerUser in shop-prod for 1h reviewed by leads ticket INC-1":                          `rule "agreed" (rules/a.yaml:4) lets it be reviewed in shop-prod (100000000003) by 1 of security`,
		"dana may have PowerUser in shop-prod for 1h reviewed by security within 1h ticket INC-1":             `rule "agreed" (rules/a.yaml:4) wants it reviewed in shop-prod (100000000003) within 72h`,
		"dana may have PowerUser in shop-prod for 1h reviewed by security after 1h ticket INC-1":              `rule "agreed" (rules/a.yaml:4) lets it be reviewed in shop-prod (100000000003) by 1 of security`,
		"ren may approve PowerUser in shop-prod for dana with a comment ticket INC-1 on call in payments":     `rule "agreed" (rules/a.yaml:4) wants no comment in shop-prod (100000000003)`,
		"ren may approve PowerUser in shop-prod for dana without being told ticket INC-1 on call in payments": `ren is told under rule "agreed" (rules/a.yaml:4) in shop-prod (100000000003)`,
		"ren may approve PowerUser in shop-prod for dana once lee has agreed ticket INC-1":                    "lee cannot have agreed in shop-prod (100000000003): it needs 1 of prod-approvers",
		"ren may approve PowerUser in shop-prod for dana once le has agreed ticket INC-1":                     `there is no person called "le"; did you mean "lee"?`,
		"ren may approve PowerUser in shop-prod for dana while jira is down ticket INC-1 while jirra is down": `no rule asks it: there is no service called "jirra"; did you mean "jira"?`,
		"dana may not have Admin in shop-prod while payments says no":                                         `no rule asks it: there is no service called "payments"`,
		"dana may not have Admin in shop-prod on call in payment":                                             `no rule asks it: there is no schedule called "payment"; did you mean "payments"?`,
		"dana may not have Admin in shop-prod while kym is away":                                              `there is no person called "kym"; did you mean "kim"?`,
		"dana may not have Admin in shop-prod while kym is new to security":                                   `there is no person called "kym"; did you mean "kim"?`,
		"dana may not have Admin in shop-prod while kim is new to secureity":                                  `there is no group called "secureity"; did you mean "security"?`,
		"dana may not have Admin in shop-prod while a review of kym is overdue":                               `there is no person called "kym"; did you mean "kim"?`,
		"dana may have ReadOnly in shop-prod for 1h while a review of dana is overdue":                        "while the review (supposed) of what dana did is overdue",
	} {
		results := parsed(t, world+sentence+"']\n").In(m).Try()
		if len(results) != 1 || results[0].OK || !strings.HasPrefix(results[0].Got, want) && !strings.HasSuffix(results[0].Got, want) {
			t.Errorf("%s\n got %+v\nwant %s", sentence, results[0].Got, want)
		}
	}
}
