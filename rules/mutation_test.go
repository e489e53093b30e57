package rules

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mutations are edits of the examples, each of which takes one thing away that the language can say, or supposes it otherwise.
var mutations = map[string][][2]string{
	"and.yaml": {
		{"      all:\n        - {need: 1, groups: [prod-approvers]}\n        - {need: 1, groups: [security]}", "      need: 2\n      groups: [prod-approvers, security]"}, // no AND
		{"        - {need: 1, groups: [security]}\n", ""}, // one of the two
		{"all:", "stages:"}, // an order
	},
	"delegation.yaml": {
		{"for dana while eli stands in for ren", "for dana"},
		{"for dana while eli stands in for ren", "for dana while ren is away"}, // nobody stands in
		{"without being told while ren is away", "without being told"},
		{"groups: [prod-approvers, leads]", "groups: [prod-approvers, developers]"},
	},
	"extension.yaml": {{"    extend: 30m\n", ""}, {"extend: 30m", "extend: 45m"}},
	"hours.yaml": {
		{`      hours: {days: [mon, tue, wed, thu, fri], from: "09:00", to: "18:00", zone: Asia/Tokyo, holidays: [japan]}` + "\n", ""},
		{", holidays: [japan]", ""},
		{"days: [mon, tue, wed, thu, fri], ", ""},
		{`from: "09:00", `, ""},
		{`to: "18:00", `, ""},
		{"Asia/Tokyo", "UTC"},
		{"[2026-12-31, 2027-01-01]", "[2027-01-01]"},
		{"      ladder: {after: 10m, groups: [leads]}\n", ""},
	},
	"ladder.yaml": {
		{"      ladder:\n        - {after: 15m, groups: [leads]}\n        - {after: 45m, groups: [directors]}\n", ""},
		{"        - {after: 15m, groups: [leads]}\n", ""},
		{"        - {after: 45m, groups: [directors]}\n", ""},
		{"15m, groups", "1m, groups"},
		{"45m, groups", "16m, groups"},
	},
	"management.yaml": {{"    by: membership\n", ""}, {`accounts: ["100000000001"]`, `accounts: ["100000000002"]`}},
	"newcomers.yaml": {
		{"sensitive:\n  accounts: [\"100000000002\"]\n", ""},
		{`accounts: ["100000000002"]`, `accounts: ["100000000003"]`},
		{`accounts: ["100000000002"]`, `permission-sets: [PowerUser]`}, // more than that account
		{", people: [sam]", ""},
		{" while ren is new to prod-approvers", ""},
	},
	"on-call.yaml": {
		{"      automatic-on-call: {schedule: payments}\n", ""},
		{"      on-call: {schedule: payments}\n", ""},
		{"      on-call: {schedule: payments}\n", "      on-call: {schedule: payments, when-down: nobody}\n"},
		{", when-down: nobody", ""},
		{"automatic-on-call: {schedule: payments}", "automatic-on-call: {schedule: ops-rota}"},
	},
	"owner.yaml": {
		{"owner: owner}", "groups: [team-payments]}"},
		{"owner: owner}", "groups: [prod-owners]}"},
		{"owner: owner}", "owner: env}"},
	},
	"review.yaml": {
		{"    review: {groups: [security], people: [lee], within: 24h, ladder: {after: 12h, groups: [directors]}}\n", ""},
		{"    review: {groups: [leads]}\n", ""},
		{", ladder: {after: 12h, groups: [directors]}", ""},
		{"after: 12h, groups", "after: 13h, groups"},
		{", people: [lee]", ""},
		{", within: 24h", ""},
		{" while a review of dana is overdue", ""},
	},
	"sensitive.yaml": {
		{"sensitive:\n  accounts: [\"100000000002\"]\n  permission-sets: [Admin]\n  review: {groups: [security], within: 48h, ladder: {after: 24h, groups: [directors]}}\n", ""},
		{"  accounts: [\"100000000002\"]\n", ""},
		{`accounts: ["100000000002"]`, `accounts: ["100000000003"]`},
		{"  permission-sets: [Admin]\n", ""},
		{"  review: {groups: [security], within: 48h, ladder: {after: 24h, groups: [directors]}}\n", ""},
		{", ladder: {after: 24h, groups: [directors]}", ""},
		{", within: 48h", ""},
		{"    extend: 30m\n", ""},
		{" while a review of amy is overdue", ""},
	},
	"silent.yaml": {
		{", comment: required", ""},
		{", silent: {groups: [security]}", ""},
		{"groups: [prod-approvers], silent: {groups: [security]}", "groups: [prod-approvers, security]"}, // told
	},
	"stages.yaml": {
		{
			"      stages:\n        - {need: 1, groups: [prod-approvers]}\n        - all:\n            - {need: 1, groups: [security]}\n            - {need: 1, groups: [leads]}",
			"      all:\n        - {need: 1, groups: [prod-approvers]}\n        - {need: 1, groups: [security]}\n        - {need: 1, groups: [leads]}",
		},
		{"        - all:\n            - {need: 1, groups: [security]}\n            - {need: 1, groups: [leads]}", "        - {need: 2, groups: [security, leads]}"},
		{"        - {need: 1, groups: [prod-approvers]}\n        - all:\n            - {need: 1, groups: [security]}\n            - {need: 1, groups: [leads]}",
			"        - all:\n            - {need: 1, groups: [security]}\n            - {need: 1, groups: [leads]}\n        - {need: 1, groups: [prod-approvers]}"},
		{"            - {need: 1, groups: [leads]}\n", ""},
	},
	"ticket.yaml": {
		{"    with: {ticket: {pattern: \"INC-[0-9]+\", check: jira, when-down: wait}}\n", ""},
		{"    with: {ticket: {pattern: \"CHG[0-9]{7}\", check: servicenow, when-down: pass}}\n", ""},
		{", check: jira, when-down: wait", ""},
		{", check: servicenow, when-down: pass", ""},
		{"when-down: wait", "when-down: pass"},
		{", when-down: pass", ""},
		{"INC-[0-9]+", ".*INC-[0-9]+"},
	},
	"ways.yaml": {
		{"    by: membership\n", ""},
		{"    by: membership\n", "    by: assignment\n"},
		{"{permission-sets: [PowerUser]}\n    where: {ous: [Workloads]}\n", "{permission-sets: [PowerUser]}\n    where: {ous: [Workloads]}\n    by: membership\n"},
		{"{roles: [ops/Deployer]}\n    where: {ous: [Workloads]}\n    for: 2h\n    by: session\n", "{permission-sets: [Admin]}\n    where: {ous: [Workloads]}\n    for: 2h\n"},
	},
	"windows.yaml": {
		{"    during: {days: [mon, tue, wed, thu], from: \"22:00\", to: \"04:00\", zone: Europe/Berlin}\n", ""},
		{"days: [mon, tue, wed, thu], ", ""},
		{`from: "22:00", `, ""},
		{`to: "04:00", `, ""},
		{"Europe/Berlin", "UTC"},
	},
}

// TestTheSentencesBite: whatever is taken away from an example, one of its sentences does not hold any more. An example that
// nothing is taken away from proves nothing.
func TestTheSentencesBite(t *testing.T) {
	const folder = "testdata/bullets"
	organization, err := os.ReadFile(filepath.Join(folder, "organization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	m := described(t, string(organization))
	left := maps.Clone(mutations)
	for _, name := range bullets(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			of := left[filepath.Base(name)]
			delete(left, filepath.Base(name))
			if len(of) == 0 {
				t.Error("nothing is taken away from it")
			}
			for _, edit := range of {
				mutant := strings.ReplaceAll(string(text), edit[0], edit[1])
				if mutant == string(text) {
					t.Errorf("it does not say\n%s", edit[0])
					continue
				}
				b, err := Parse([]File{{name, []byte(mutant)}}, DefaultLongest)
				if err != nil {
					t.Errorf("with %q in the place of\n%s\nit is no file of rules: %v", edit[1], edit[0], err)
					continue
				}
				if !fails(b.In(m).Try()) {
					t.Errorf("all sentences hold with %q in the place of\n%s", edit[1], edit[0])
				}
			}
		})
	}
	for name := range left {
		t.Errorf("there is no %s", name)
	}
}

func fails(results []Result) bool {
	for _, r := range results {
		if !r.OK {
			return true
		}
	}
	return false
}

// bullets are the examples of each part of the language.
func bullets(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/bullets/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	var examples []string
	for _, name := range files {
		if filepath.Base(name) != "organization.yaml" {
			examples = append(examples, name)
		}
	}
	return examples
}
