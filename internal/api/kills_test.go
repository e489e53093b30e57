package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/api/client"
)

// keptPolicy is a policy of session kills, attached to Sandbox.
type keptPolicy struct {
	mu      sync.Mutex
	text    string
	targets []string
}

// Read implements broker.KillPolicy.
func (k *keptPolicy) Read(context.Context) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text, nil
}

// Write implements broker.KillPolicy.
func (k *keptPolicy) Write(_ context.Context, text string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.text = text
	return nil
}

// Targets implements broker.KillPolicy.
func (k *keptPolicy) Targets(context.Context) ([]string, error) { return k.targets, nil }

// killed ends a grant with a kill and follows that, as far as the API shows it.
func (r *rig) killed() {
	r.Helper()
	grant := r.approved("dana").Id
	r.work()
	answer, err := r.as("amy").CheckKills(r.Context())
	if v := ok[client.KillCheck](r, answer, err); v.SetUp || len(v.Wrong) != 1 {
		r.Errorf("%+v", v)
	}
	ou, _ := r.mirror.OU("Sandbox")
	policy := &keptPolicy{text: access.EmptyKillPolicy(), targets: []string{string(ou)}}
	r.broker.KillPolicy.Policy = policy
	why := "stolen laptop"
	answer, err = r.as("amy").Kill(r.Context(), grant, client.CommentBody{Comment: &why})
	out := ok[client.Killed](r, answer, err)
	if k := out.Kill; out.WhyNot != nil || out.Grant.State != client.GrantStateEnding || k == nil || k.State != client.KillStateWanted || k.Says != "not sent yet" || *k.Reason != why ||
		k.By != "amy" || k.Person.User != "dana" || k.Target.AccountName != "payments-prod" || !slices.Equal(k.Grants, []string{grant}) || k.Cover != client.KillCoverNone {
		r.Errorf("%+v with %+v", out, out.Kill)
	}
	_, err = r.broker.SendKills(r.Context())
	r.must(err)
	r.work()
	_, err = r.broker.SendKills(r.Context())
	r.must(err)
	answer, err = r.as("dana").ListKills(r.Context(), &client.ListKillsParams{})
	list := ok[client.KillsOutputBody](r, answer, err)
	if k := list.Kills[0]; len(list.Kills) != 1 || k.State != client.KillStateTightened || k.Cover != client.KillCoverPerson || k.Before == nil || !k.ExpiresAt.Equal(k.Before.Add(2*time.Hour)) {
		r.Errorf("%+v", list)
	}
	answer, err = r.as("ana").CheckKills(r.Context())
	if v := ok[client.KillCheck](r, answer, err); !v.SetUp || v.Statements != 1 || int(v.Length) != len(policy.text) || v.Size != access.KillSize || len(v.Wrong) != 0 ||
		strings.Join(v.Unreached, ", ") != "payments-prod (100000000002), shop-prod (100000000003)" {
		r.Errorf("%+v", v)
	}
	r.broker.KillPolicy.Policy = nil
}

func TestKillsComeInPages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.broker.KillPolicy.Policy = &keptPolicy{text: access.EmptyKillPolicy()}
	var want []string
	for range 3 {
		r.clock.Advance(time.Second)
		answer, err := r.as("dana").Kill(t.Context(), r.approved("dana").Id, client.CommentBody{})
		want = append([]string{ok[client.Killed](r, answer, err).Kill.Id}, want...)
		_, err = r.broker.SendKills(t.Context()) // the removal is known at once: the grant had not begun
		r.must(err)
	}
	var got []string
	one := int64(1)
	for after := ""; len(got) < 10; {
		answer, err := r.as("amy").ListKills(t.Context(), &client.ListKillsParams{After: &after, Limit: &one})
		page := ok[client.KillsOutputBody](r, answer, err)
		for _, k := range page.Kills {
			got = append(got, k.Id)
		}
		if page.Next == nil {
			break
		}
		after = *page.Next
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}

func TestAKillThatCannotBeSentEndsTheGrantAndSaysWhy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	grant := r.approved("dana").Id
	answer, err := r.as("dana").Kill(t.Context(), grant, client.CommentBody{})
	if out := ok[client.Killed](r, answer, err); out.Kill != nil || !strings.Contains(*out.WhyNot, "not set up") || out.Grant.State != client.GrantStateEnded {
		t.Errorf("%+v", out)
	}
	r.broker.KillPolicy.Policy = &keptPolicy{text: access.EmptyKillPolicy()}
	session := r.holding("dana", deployer).ID
	answer, err = r.as("dana").Kill(t.Context(), session, client.CommentBody{})
	if out := ok[client.Killed](r, answer, err); out.Kill != nil || !strings.Contains(*out.WhyNot, "carry their own end") {
		t.Errorf("%+v", out)
	}
	answer, err = r.as("dana").Kill(t.Context(), grant, client.CommentBody{})
	if g := r.read(answer, err); g.status != http.StatusConflict {
		t.Errorf("of one that never began: %d %s", g.status, g.text)
	}
}

// TestReviewsComeInPages goes on where a page of reviews ended.
func TestReviewsComeInPages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	want := map[string]bool{reviewOfGrant(r.used("dana", reviewed)): true, reviewOfGrant(r.used("lena", reviewed)): true}
	one, got := int64(1), map[string]bool{}
	for after := ""; len(got) < 10; {
		answer, err := r.as("kim").ListReviews(t.Context(), &client.ListReviewsParams{After: &after, Limit: &one})
		page := ok[client.ReviewsOutputBody](r, answer, err)
		for _, v := range page.Reviews {
			got[v.Id] = true
		}
		if page.Next == nil {
			break
		}
		after = *page.Next
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}

// anchored has roles kept by groups of nobody, as far as the API shows it.
func (r *rig) anchored() {
	r.Helper()
	answer, err := r.as("ana").ListAnchors(r.Context())
	before := ok[client.Anchored](r, answer, err)
	if len(before.Anchors) != 0 || len(before.Members) != 0 || len(before.Missing) != 6 {
		r.Errorf("%+v", before)
	}
	answer, err = r.as("amy").Anchor(r.Context(), client.AskTarget{Account: "play", PermissionSet: "ReadOnly"})
	if g := ok[client.LentGroup](r, answer, err); g.Ready || g.Name != "sparekey anchor 100000000004 ReadOnly" {
		r.Errorf("%+v", g)
	}
	answer, err = r.as("amy").AnchorAll(r.Context())
	if all := ok[client.MadeOutputBody](r, answer, err).Anchors; len(all) != 6 {
		r.Errorf("%+v", all)
	}
	for range 5 {
		r.must(r.broker.MakeAnchors(r.Context()))
	}
	answer, err = r.as("ana").ListAnchors(r.Context())
	if v := ok[client.Anchored](r, answer, err); len(v.Anchors) != 6 || len(v.Missing) != 0 || slices.ContainsFunc(v.Anchors, func(g client.LentGroup) bool { return !g.Ready }) {
		r.Errorf("%+v", v)
	}
}
