package rules

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sparekey/org"
)

const organization = `
management-account: "100000000001"
accounts:
  - {id: "100000000001", name: management}
  - {id: "100000000002", name: payments-prod, ou: Workloads/Prod, tags: {env: prod, team: payments}}
  - {id: "100000000003", name: payments-dev, ou: Workloads/Dev, tags: {env: dev, team: payments}}
  - {id: "100000000004", name: shop-prod, ou: Workloads/Prod, tags: {env: prod, team: shop}}
  - {id: "100000000005", name: play, ou: Sandbox}
permission-sets: [{name: ReadOnly}, {name: PowerUser, session: 2h}, {name: Admin}]
groups: [ghosts]
people:
  - {user: dana, groups: [developers]}
  - {user: eli, groups: [developers, contractors]}
  - {user: kim, groups: [prod-approvers, developers]}
  - {user: ren, groups: [prod-approvers]}
  - {user: off, status: disabled, groups: [prod-approvers, developers]}
  - {user: amy, groups: [admins, solo]}
`

const book = `
rules:
  - name: developers-read
    who: {groups: [developers]}
    what: {permission-sets: [ReadOnly]}
    where: {ous: [Workloads, Sandbox]}
    for: 8h
    with: {reason: optional}
    approval: {automatic: true}
  - name: developers-prod
    who: {groups: [developers], except: {groups: [contractors]}}
    what: {permission-sets: [PowerUser]}
    where: {tags: {env: [prod, dev]}, except: {accounts: ["100000000004"]}}
    for: 1h
    approval: {need: 1, groups: [prod-approvers]}
  - name: developers-prod-long
    who: {groups: [developers], except: {groups: [contractors]}}
    what: {permission-sets: [PowerUser]}
    where: {ous: [Workloads/Prod]}
    for: 8h
    approval: {need: 2, groups: [prod-approvers], people: [amy]}
  - name: admins
    who: {groups: [admins]}
    what: {permission-sets: [Admin, ReadOnly]}
    where: {ous: [/]}
    for: 1h
    approval: {automatic: true}
  - name: no-management
    description: the management account is not lent
    deny: true
    where: {accounts: ["100000000001"]}
tests:
  - dana may have ReadOnly in Workloads for 8h automatically
  - dana may have PowerUser in payments-prod for 1h with one approval
  - dana may have PowerUser in payments-prod for 2h with two approvals
  - dana may have PowerUser in shop-prod for 1h with 2 approvals
  - eli may not have PowerUser in Workloads
  - amy may not have Admin in management
  - amy may have Admin in "100000000005" for 30m
`

func described(t testing.TB, text string) *org.Mirror {
	t.Helper()
	o, _, err := org.Describe("organization.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return org.NewMirror(o)
}

func parsed(t testing.TB, texts ...string) *Book {
	t.Helper()
	var files []File
	for i, text := range texts {
		files = append(files, File{"rules/" + string(rune('a'+i)) + ".yaml", []byte(text)})
	}
	b, err := Parse(files, DefaultLongest)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheBooksOwnTestsHoldAndCheckIsSilent(t *testing.T) {
	b, m := parsed(t, book), described(t, organization)
	for _, r := range b.In(m).Try() {
		if !r.OK {
			t.Error(r)
		}
	}
	for _, w := range b.Check(m) {
		t.Error(w)
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	const rest = "    who: {groups: [g]}\n    what: {permission-sets: [S]}\n    where: {ous: [/]}\n    for: 1h\n    approval: {automatic: true}\n"
	with := func(key, line string) string {
		var kept []string
		for l := range strings.Lines("rules:\n  - name: a\n" + rest) {
			if !strings.HasPrefix(strings.TrimSpace(l), key+":") {
				kept = append(kept, l)
			}
		}
		return strings.Join(kept, "") + line
	}
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", with("who", "    whom: {groups: [g]}\n"), `:7:5: unknown key "whom" in "rules" (did you mean "who"?)`},
		{"unknown key in who", with("who", "    who: {grups: [g]}\n"), `did you mean "groups"?`},
		{"no who", with("who", ""), `a.yaml:2:5: rule "a" lacks the key "who"`},
		{"no approval", with("approval", ""), `lacks the key "approval"`},
		{"no for", with("for", ""), `lacks the key "for"`},
		{"bad duration", with("for", "    for: 1d\n"), `"1d" is not a duration in whole minutes; write it as 45m, 8h or 1h30m`},
		{"seconds", with("for", "    for: 90s\n"), "not a duration in whole minutes"},
		{"negative", with("for", "    for: -1h\n"), "not a duration in whole minutes"},
		{"too long", with("for", "    for: 25h\n"), `rule "a" gives access for 25h; the configuration allows at most 24h`},
		{"bad name", "rules:\n  - name: A b\n" + rest, "not of small letters, digits and dashes"},
		{"two of a name", "rules:\n  - name: a\n" + rest + "  - name: a\n" + rest, `a second rule is called "a" (the first is at rules/a.yaml:2:5)`},
		{"account name", with("where", "    where: {accounts: [payments]}\n"), `names the account "payments", which is not twelve digits`},
		{"empty where", with("where", "    where: {except: {ous: [x]}}\n"), "names no accounts, OUs or tags (ous: [/] is the whole organization)"},
		{"everyone and groups", with("who", "    who: {everyone: true, groups: [g]}\n"), "not either everyone or some groups and people"},
		{"nobody", with("who", "    who: {except: {groups: [g]}}\n"), "not either everyone or some groups and people"},
		{"exception to an exception", with("who", "    who: {everyone: true, except: {groups: [g], except: {people: [p]}}}\n"), "exception to an exception"},
		{"exception of all people", with("who", "    who: {groups: [g], except: {groups: [g, h]}}\n"), "can match nothing: its exception takes away everybody"},
		{"exception of all places", with("where", "    where: {ous: [a], except: {ous: [a]}}\n"), "can match nothing: its exception takes away every place"},
		{"automatic with approvers", with("approval", "    approval: {automatic: true, groups: [g]}\n"), "is automatic and names approvers"},
		{"no approvers", with("approval", "    approval: {need: 1}\n"), "names nobody who may approve"},
		{"need zero", with("approval", "    approval: {groups: [g]}\n"), "needs 0 approvals"},
		{"need too many", with("approval", "    approval: {need: 11, groups: [g]}\n"), "needs 11 approvals"},
		{"deny with for", "rules:\n  - {name: a, deny: true, for: 1h, where: {ous: [x]}}\n", "has no use for the keys for, during"},
		{"deny everything", "rules:\n  - {name: a, deny: true}\n", "denies everything to everyone"},
		{"reason", with("with", "    with: {reason: maybe}\n"), "a reason is required or optional"},
		{"a test that is none", "tests: [dana has ReadOnly]\n", "it does not begin with PERSON may"},
		{"a test without duration", "tests: [dana may have ReadOnly in x]\n", "it does not say for how long"},
		{"a test with a rest", "tests: [dana may have ReadOnly in x for 1h perhaps]\n", `"perhaps" is not understood`},
		{"a test with an open quote", "tests: ['dana may have \"Read in x for 1h']\n", "a quotation mark is not closed"},
		{"a test with no approvals", "tests: [dana may have R in x for 1h with no approval]\n", `"with no approval" is not understood`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]File{{"rules/a.yaml", []byte(c.text)}}, DefaultLongest)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got\n%v\nwant %s", err, c.want)
			}
		})
	}
}

// Requirement S2-33.
func TestALongerCapIsTheConfigurationsDecision(t *testing.T) {
	text := strings.Replace(book, "for: 8h", "for: 30h", 1)
	if _, err := Parse([]File{{"a.yaml", []byte(text)}}, 48*time.Hour); err != nil {
		t.Error(err)
	}
}

func TestTheDigestIsAboutMeaningOnly(t *testing.T) {
	one := parsed(t, book)
	moved := parsed(t, "# a comment\n\n"+strings.Replace(book, "description: the management", "description: The management", 1))
	if one.Digest() != moved.Digest() {
		t.Error("a comment and a description changed the digest")
	}
	for _, change := range [][2]string{
		{"for: 1h\n    approval: {need: 1,", "for: 2h\n    approval: {need: 1,"}, {"need: 2", "need: 1"}, {"people: [amy]", "people: [kim]"},
		{"except: {groups: [contractors]}", "except: {people: [eli]}"}, {"reason: optional", "reason: required"}, {"deny: true", "deny: true\n    who: {everyone: true}"},
		{"env: [prod, dev]", "env: [prod]"}, {"[Admin, ReadOnly]", "[Admin]"}, {"- name: admins", "- name: adminz"},
	} {
		changed := strings.Replace(book, change[0], change[1], 1)
		if changed == book {
			t.Fatalf("%q is not in the book", change[0])
		}
		if parsed(t, changed).Digest() == one.Digest() {
			t.Errorf("%q instead of %q did not change the digest", change[1], change[0])
		}
	}
}

// A panel is the same however it is written, and another one however it is written.
func TestTheDigestHoldsTheApproversOfEveryForm(t *testing.T) {
	digests := map[string]string{}
	for _, panel := range []string{"{need: 1, groups: [g]}", "{need: 2, groups: [g]}", "{need: 1, groups: [h]}", "{need: 1, people: [kim]}", "{need: 1, groups: [g], owner: owner}"} {
		first := ""
		for _, form := range []string{"%s", "{all: [%s]}", "{stages: [%s]}", "{stages: [{all: [%s]}]}"} {
			text := "rules: [{name: a, who: {groups: [d]}, what: {permission-sets: [S]}, where: {ous: [/]}, for: 1h, approval: " + fmt.Sprintf(form, panel) + "}]"
			digest := parsed(t, text).Digest()
			if other, taken := digests[digest]; taken && other != panel {
				t.Errorf("%s and %s in the form %s have one digest", panel, other, form)
			}
			digests[digest] = panel
			if first == "" {
				first = digest
			} else if first != digest && !strings.Contains(panel, "owner") { // of which the short form's digest is of before there were others
				t.Errorf("%s has another digest in the form %s", panel, form)
			}
		}
	}
}

func TestCheckReportsNamesThatFindNothingAndRulesThatMatchNothing(t *testing.T) {
	m := described(t, organization)
	allow := func(who, what, where, approval string) string {
		return "rules:\n  - name: a\n    who: " + who + "\n    what: {permission-sets: [" + what + "]}\n    where: " + where + "\n    for: 1h\n    approval: " + approval + "\n"
	}
	for _, c := range []struct{ name, text, want string }{
		{"group", allow("{groups: [developrs]}", "ReadOnly", "{ous: [/]}", "{automatic: true}"), `names the group "developrs", which does not exist (did you mean "developers"?)`},
		{"person", allow("{people: [danna]}", "ReadOnly", "{ous: [/]}", "{automatic: true}"), `names the person "danna", which does not exist (did you mean "dana"?)`},
		{"set", allow("{groups: [developers]}", "Readonly", "{ous: [/]}", "{automatic: true}"), `names the permission set "Readonly", which does not exist (did you mean "ReadOnly"?)`},
		{"OU", allow("{groups: [developers]}", "ReadOnly", "{ous: [Workload/Prod]}", "{automatic: true}"), `did you mean "Workloads/Prod"?`},
		{"account", allow("{groups: [developers]}", "ReadOnly", "{accounts: ['999999999999']}", "{automatic: true}"), `names the account "999999999999", which does not exist`},
		{"tag", allow("{groups: [developers]}", "ReadOnly", "{tags: {env: production}}", "{automatic: true}"), "names the tag env=production, which no account carries"},
		{"nobody", allow("{groups: [ghosts]}", "ReadOnly", "{ous: [/]}", "{automatic: true}"), "can match nothing: nobody is in its who"},
		{"nowhere", allow("{groups: [developers]}", "ReadOnly", "{ous: [Sandbox], tags: {env: prod}}", "{automatic: true}"), "can match nothing: no active account is in its where"},
		{"nothing", allow("{groups: [developers]}", "Nope", "{ous: [/]}", "{automatic: true}"), "can match nothing: none of its permission sets exists"},
		{"empty approvers", allow("{groups: [developers]}", "ReadOnly", "{ous: [/]}", "{need: 1, groups: [ghosts]}"), "cannot be approved by anybody: the group ghosts is empty"},
		{"too few approvers", allow("{groups: [developers]}", "ReadOnly", "{ous: [/]}", "{need: 3, groups: [prod-approvers]}"), "cannot be approved by anybody: it needs 3 people and only 2 can"},
		{"broken exception", allow("{groups: [developers], except: {groups: [contractor]}}", "ReadOnly", "{ous: [/]}", "{automatic: true}"), `can match nothing: it gives nothing, since of its exception the group "contractor" does not exist`},
		{"denied", allow("{groups: [developers]}", "Admin", "{ous: [Sandbox]}", "{automatic: true}") + "  - {name: d, deny: true, what: {permission-sets: [Admin]}}\n", `rule "a" can match nothing: a deny rule takes away all that it gives`},
		{"a deny that reaches nobody", "rules:\n  - {name: d, deny: true, who: {groups: [ghosts]}}\n", "can match nothing: nobody is in its who"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := parsed(t, c.text).Check(m).Error(); !strings.Contains(got, c.want) {
				t.Errorf("got\n%s\nwant %s", got, c.want)
			}
		})
	}
}

func TestAWrongSentenceSaysWhatTheRulesSayInstead(t *testing.T) {
	m := described(t, organization)
	for sentence, want := range map[string]string{
		"dana may have PowerUser in payments-prod for 1h automatically": `rule "developers-prod" (rules/a.yaml:10) decides it in payments-prod (100000000002): 1 of prod-approvers`,
		"dana may have PowerUser in payments-prod for 9h":               `no in payments-prod (100000000002): rule "developers-prod-long" (rules/a.yaml:16) gives at most 8h, not 9h`,
		"dana may not have ReadOnly in play":                            `rule "developers-read" (rules/a.yaml:3) allows it in play (100000000005) for 8h, automatic`,
		"danna may not have ReadOnly in play":                           `there is no person called "danna"; did you mean "dana"?`,
		"dana may not have Readonly in play":                            `there is no permission set called "Readonly"; did you mean "ReadOnly"?`,
		"dana may not have ReadOnly in plai":                            `did you mean "play"?`,
	} {
		text := book[:strings.Index(book, "tests:")] + "tests: ['" + sentence + "']\n"
		results := parsed(t, text).In(m).Try()
		if len(results) != 1 || results[0].OK || !strings.Contains(results[0].Got, want) {
			t.Errorf("%s\n got %+v\nwant %s", sentence, results, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(book))
	f.Add([]byte("rules: [{name: a, deny: true, who: {people: x}}]\ntests: ['a may not have b in c']"))
	f.Add([]byte("tests: ['a may have b in c for 1h by session with two approvals with a comment as sensitive reviewed by d within 1h extended by 5m while e is down']"))
	f.Add([]byte("tests: ['a may approve b in c for d once e and f have agreed after 5m while e stands in for a while f is new to g while a review of d is overdue']"))
	examples, err := filepath.Glob("testdata/bullets/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range examples {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	m := described(f, organization)
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := Parse([]File{{"f.yaml", text}}, DefaultLongest)
		if err != nil {
			return
		}
		b.Check(m)
		b.In(m).Try()
		for range b.In(m).Offers(m.Organization().People[0]) {
		}
	})
}
