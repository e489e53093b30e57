package api

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"

	"sparekey/access"
	"sparekey/internal/api/client"
)

// noDigest is the digest of no book.
const noDigest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

func ruleFiles(text string) []client.RuleFile {
	return []client.RuleFile{{Name: "rules.yaml", Text: text}}
}

// sameRules are the rig's, in files that nobody has seen before.
func sameRules() []client.RuleFile { return ruleFiles("# " + rand.Text() + book) }

// widerRules give more, in files that nobody has seen before.
func widerRules() []client.RuleFile {
	return ruleFiles("# " + rand.Text() + strings.Replace(book, "for: 8h", "for: 9h", 1))
}

func (r *rig) propose(user string, files []client.RuleFile) client.Proposal {
	r.Helper()
	answer, err := r.as(user).ProposeRules(r.Context(), client.ProposeBody{Files: files})
	return ok[client.Proposal](r, answer, err)
}

// bookFor makes the book that an operation is about. rita is the other administrator.
func (r *rig) bookFor(operation string) string {
	r.Helper()
	switch operation {
	case "getRules":
		return r.propose("rita", sameRules()).Digest
	case "agreeRules", "rejectRules":
		r.propose("rita", sameRules()) // what was agreed to before is taken back
		p := r.propose("rita", widerRules())
		if p.State != client.ProposalStateProposed {
			r.Fatalf("%+v", p)
		}
		return p.Digest
	case "activateRules":
		first := r.propose("rita", sameRules()).Digest
		r.propose("rita", sameRules())
		return first
	}
	return ""
}

func TestWhoProposesDoesNotAgree(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.propose("amy", widerRules())
	n, before := len(r.refusals(0)), r.dump()
	g := r.read(r.as("amy").AgreeRules(t.Context(), p.Digest))
	if g.status != http.StatusForbidden || !strings.Contains(g.text, "a second administrator must agree") {
		t.Errorf("%d %s", g.status, g.text)
	}
	r.recorded(n, "amy", "agree rules", access.ErrRefused.Error(), g.problem(t).Detail)
	r.unchanged(before)
	answer, err := r.as("rita").AgreeRules(t.Context(), p.Digest)
	if p := ok[client.Proposal](r, answer, err); p.State != client.ProposalStateInForce || p.By != "amy" || *p.ActivatedBy != "rita" || p.Totals.Wider == 0 {
		t.Errorf("%+v", p)
	}
}

// Files of rules may be larger than other bodies, and have a limit of their own.
func TestHowLargeRulesMayBe(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	padded := func(n int) string {
		return `{"files":[{"name":"rules.yaml","text":"rules: [{name: a, deny: true, where: {ous: [/]}}]\n#` + strings.Repeat("x", n) + `"}]}`
	}
	for path, sizes := range map[string]map[int]int{
		"/v1/rules/diff": {maxBody: 200, maxRules - 120: 200, maxRules: 413}, "/v1/rules": {maxBody: 200, maxRules: 413}, "/v1/requests": {maxBody: 413},
		"/v1/rules/" + noDigest + "/agree": {maxBody: 413},
	} {
		for n, status := range sizes {
			g := r.raw("amy", http.MethodPost, path, padded(n), "Idempotency-Key", rand.Text())
			if g.status != status {
				t.Errorf("%s with %d bytes: %d %.300s", path, n, g.status, g.text)
			}
		}
	}
}

func TestRulesThatAreNotRightAreAnsweredWithTheirPlaces(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	before := r.dump()
	for want, files := range map[string][]client.RuleFile{
		"rules.yaml:1:10: unknown key":               ruleFiles("rules: [{nam: x}]"),
		"is not the name of a file of rules":         {{Name: "../a.yaml", Text: "rules: []"}},
		`the file a.yaml is there twice`:             {{Name: "a.yaml", Text: "rules: []"}, {Name: "a.yaml", Text: "rules: []"}},
		"gives access for 30h; the configuration al": ruleFiles(strings.Replace(book, "for: 8h", "for: 30h", 1)),
	} {
		answer, err := r.as("amy").ProposeRules(t.Context(), client.ProposeBody{Files: files})
		if g := r.read(answer, err); g.status != http.StatusBadRequest || !strings.Contains(g.text, strings.ReplaceAll(want, `"`, `\"`)) {
			t.Errorf("want %s, got %d %s", want, g.status, g.text)
		}
	}
	r.unchanged(before)
}

// rulesChange takes a book through every operation.
func (r *rig) rulesChange() {
	r.Helper()
	ctx, amy := r.Context(), r.as("amy")
	answer, err := amy.ListRules(ctx, &client.ListRulesParams{})
	first := ok[client.Books](r, answer, err).InForce
	if first == nil || first.By != "test" || first.Count != 7 {
		r.Fatalf("in force: %+v", first)
	}
	wider := widerRules()
	answer, err = amy.DiffRules(ctx, client.RuleFilesBody{Files: wider})
	e := ok[client.Effect](r, answer, err)
	if !e.Widens || len(e.Lines) != 1 || e.Lines[0].Text != "4 people of developers get PowerUser and ReadOnly in play longer: up to 9h, automatic, no reason needed (before: up to 8h, automatic, no reason needed)" ||
		e.Lines[0].PeopleCount != 4 || *e.Base != first.Rules {
		r.Errorf("%+v", e)
	}
	answer, err = amy.ProposeRules(ctx, client.ProposeBody{Files: wider, Base: e.Base})
	p := ok[client.Proposal](r, answer, err)
	answer, err = r.as("rita").RejectRules(ctx, p.Digest, client.CommentBody{})
	if p := ok[client.Proposal](r, answer, err); p.State != client.ProposalStateRejected || *p.ClosedBy != "rita" {
		r.Errorf("%+v", p)
	}
	r.propose("amy", wider)
	answer, err = r.as("rita").AgreeRules(ctx, p.Digest)
	if p := ok[client.Proposal](r, answer, err); p.State != client.ProposalStateInForce {
		r.Errorf("%+v", p)
	}
	answer, err = r.as("ana").GetRules(ctx, first.Digest)
	if b := ok[client.StoredBook](r, answer, err); b.Files[0].Text != book || b.Effect.Widens || b.Effect.Totals.Narrower == 0 || b.Proposal.State != client.ProposalStateReplaced {
		r.Errorf("%+v", b)
	}
	answer, err = amy.ActivateRules(ctx, first.Digest)
	if p := ok[client.Proposal](r, answer, err); p.State != client.ProposalStateInForce || !p.Again || p.Rules != first.Rules {
		r.Errorf("%+v", p)
	}
	stale := r.read(amy.ProposeRules(ctx, client.ProposeBody{Files: sameRules(), Base: &p.Rules}))
	if stale.status != http.StatusConflict || !strings.Contains(stale.text, "other rules have come in force since") {
		r.Errorf("%d %s", stale.status, stale.text)
	}
}
