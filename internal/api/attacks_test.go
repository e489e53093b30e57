package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/api/client"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
	"sparekey/org"
)

// away says that somebody is away for an hour, with a delegate.
func (r *rig) away(user, delegate string) {
	r.Helper()
	answer, err := r.as(user).Away(r.Context(), client.AwayBody{Until: r.clock.Now().Add(time.Hour), Delegate: &delegate})
	ok[client.Absence](r, answer, err)
}

// refused reports an answer that is no refusal of a kind with these words, or that changed something since before.
func (r *rig) refused(g got, status int, words, before string) {
	r.Helper()
	if p := g.problem(r); g.status != status || !strings.Contains(p.Detail, words) {
		r.Errorf("%d %s, want %d %s", g.status, g.text, status, words)
	}
	r.unchanged(before)
}

func (r *rig) approve(user, request string) got {
	r.Helper()
	return r.read(r.as(user).Approve(r.Context(), request, client.ApproveBody{}))
}

func TestADelegateHasTheSayOfWhoIsAwayAndNoMore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	answer, err := r.asking("dana", 240, "payments-prod PowerUser") // takes two
	two := ok[client.Request](r, answer, err).Id
	kims, lenas := r.ask("kim").Id, r.ask("lena").Id
	r.away("kim", "lena")
	r.away("lena", "ana")
	r.away("ren", "dana")
	if g := r.approve("kim", two); g.status != http.StatusOK { // she may all the same
		t.Fatalf("%d %s", g.status, g.text)
	}
	before := r.dump()
	r.refused(r.approve("lena", two), http.StatusNotFound, "there is no request", before)             // kim's say was said
	r.refused(r.approve("dana", two), http.StatusForbidden, "what they asked for themselves", before) // with ren's say
	r.refused(r.approve("lena", lenas), http.StatusForbidden, "what they asked for themselves", before)
	r.refused(r.approve("lena", kims), http.StatusNotFound, "there is no request", before) // kim has no say about it to hand over
	r.refused(r.approve("ana", lenas), http.StatusForbidden, "ana is none of them", before)
	r.clock.Advance(time.Hour)
	late := r.ask("dana").Id
	r.refused(r.approve("lena", late), http.StatusNotFound, "there is no request", r.dump())
}

func TestTheSayOfWhoIsAwayIsWorthWhatItIsAtTheClick(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(d *sandbox.Directory, kim org.PersonID, approvers org.GroupID) error{
		"out of the group": func(d *sandbox.Directory, kim org.PersonID, approvers org.GroupID) error {
			return d.Leave(kim, approvers)
		},
		"disabled": func(d *sandbox.Directory, kim org.PersonID, _ org.GroupID) error {
			return d.SetStatus(kim, org.StatusDisabled)
		},
	} {
		for _, what := range []string{"approve", "conclude"} {
			t.Run(name+" "+what, func(t *testing.T) {
				r := newRig(t)
				id, review := r.ask("dana").Id, reviewOfGrant(r.used("dana", reviewed))
				r.away("kim", "lena")
				kim, _ := r.mirror.PersonNamed("kim")
				approvers, _ := r.mirror.Group("approvers")
				r.must(r.box.Change(func(d *sandbox.Directory) error { return change(d, kim.ID, approvers.ID) })) // and the mirror does not know
				before := r.dump()
				if what == "approve" {
					r.refused(r.approve("lena", id), http.StatusForbidden, "lena is none of them", before)
				} else {
					r.refused(r.read(r.as("lena").Conclude(t.Context(), review, client.ConcludeBody{})), http.StatusForbidden, "lena is none of them", before)
				}
			})
		}
	}
}

func TestAReviewIsSomebodyElses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	review := reviewOfGrant(r.used("dana", reviewed))
	conclude := func(user string) got {
		return r.read(r.as(user).Conclude(r.Context(), review, client.ConcludeBody{}))
	}
	r.away("kim", "dana")
	before := r.dump()
	r.refused(conclude("dana"), http.StatusForbidden, "nobody reviews what they did themselves", before) // with kim's say
	kim, _ := r.mirror.PersonNamed("kim")
	approvers, _ := r.mirror.Group("approvers")
	r.must(r.box.Change(func(d *sandbox.Directory) error { return d.Leave(kim.ID, approvers.ID) }))
	r.refused(conclude("kim"), http.StatusForbidden, "kim is none of them", before) // the mirror has her there
	good := 0
	for _, g := range at20(func() got { return conclude("ren") }) {
		if g.status == http.StatusOK {
			good++
		} else if g.status != http.StatusConflict {
			t.Errorf("%d %s", g.status, g.text)
		}
	}
	if good != 1 {
		t.Errorf("%d were told yes", good)
	}
	before = r.dump()
	r.refused(conclude("ren"), http.StatusConflict, review+" was concluded by ren", before)
}

func TestWhoseReviewIsOverdueGetsNothingAutomatically(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	g := r.holding("dana", reviewed)
	r.clock.Advance(25 * time.Hour)
	r.must(r.broker.Watch(audit.By(t.Context(), "test")))
	r.work()
	body := wish(30, "payments-prod ReadOnly")
	body.Ticket = pointer("INC-1")
	answer, err := r.as("dana").Ask(t.Context(), &client.AskParams{IdempotencyKey: aKey}, body)
	answer, err = r.as("kim").Approve(t.Context(), ok[client.Request](r, answer, err).Id, client.ApproveBody{})
	held := r.active(ok[client.Request](r, answer, err).Lines[0].Grant.Id) // by somebody's yes she gets it
	before := r.dump()
	r.refused(r.read(r.asking("dana", 30, "play ReadOnly")), http.StatusForbidden, "gives nothing by itself while the review "+reviewOfGrant(g), before)
	if l := r.extended("dana", held.ID, 10).Lines[0]; l.State != client.LineStatePending || l.Needed != 1 {
		t.Errorf("extended all the same: %+v", l)
	}
	answer, err = r.as("dana").GetReview(t.Context(), reviewOfGrant(g))
	if v := ok[client.Review](r, answer, err); !v.Overdue {
		t.Errorf("the review is %+v", v)
	}
	answer, err = r.as("kim").Conclude(t.Context(), reviewOfGrant(g), client.ConcludeBody{})
	ok[client.Review](r, answer, err)
	answer, err = r.asking("dana", 30, "play ReadOnly")
	ok[client.Request](r, answer, err)
}

func (r *rig) vend(user, grant string) got {
	r.Helper()
	return r.read(r.as(user).Vend(r.Context(), grant, client.VendBody{}))
}

func TestCredentialsComeOfAnActiveGrantOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	answer, err := r.asking("dana", 30, deployer)
	waiting := ok[client.Request](r, answer, err).Lines[0].Grant.Id
	r.refused(r.vend("dana", waiting), http.StatusConflict, "is waiting, not active", r.dump())
	r.active(waiting)
	if g := r.vend("dana", waiting); g.status != http.StatusOK {
		t.Errorf("%d %s", g.status, g.text)
	}
	before := r.dump()
	r.refused(r.vend("lena", waiting), http.StatusNotFound, "there is no grant", before)
	r.refused(r.vend("amy", waiting), http.StatusForbidden, "nobody else's", before)
	answer, err = r.as("amy").End(t.Context(), waiting, client.CommentBody{})
	ok[client.Grant](r, answer, err)
	r.refused(r.vend("dana", waiting), http.StatusConflict, "not active", r.dump())
	r.work()
	r.refused(r.vend("dana", waiting), http.StatusConflict, "is ended, not active", r.dump())
	over := r.holding("dana", deployer)
	r.clock.Advance(30 * time.Minute) // its time is over, and the lane has not come by yet
	r.refused(r.vend("dana", over.ID), http.StatusConflict, "not active", r.dump())
	if n := len(r.lends.vended); n != 1 {
		t.Errorf("AWS was asked %d times", n)
	}
}

func TestWhoLeftGetsNoCredentials(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	g := r.holding("dana", deployer)
	dana, _ := r.mirror.PersonNamed("dana")
	r.must(r.box.Change(func(d *sandbox.Directory) error { return d.SetStatus(dana.ID, org.StatusDisabled) })) // and the mirror does not know
	if a := r.vend("dana", g.ID); a.status != http.StatusForbidden || len(r.lends.vended) != 0 {
		t.Errorf("%d %s", a.status, a.text)
	}
	var now access.Grant
	r.must(r.store.View(t.Context(), func(tx *store.Tx) (err error) { now, err = tx.Grant(g.ID); return err }))
	if now.End == nil {
		t.Errorf("the grant is %s", now.State)
	}
}

// TestCredentialsThatWereMadeAndCannotBeHandedOutAreToldToNobody has AWS answer in the ways that it can, and the grant end
// meanwhile. That nothing secret is in the log, the record or the answer is looked at with every answer and at the end.
func TestCredentialsThatWereMadeAndCannotBeHandedOutAreToldToNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	g := r.holding("dana", deployer)
	none := access.Credentials{}
	for name, c := range map[string]struct {
		vends  func(made access.Credentials) (access.Credentials, error)
		status int
		hint   string
	}{
		"not made": {func(access.Credentials) (access.Credentials, error) {
			return none, fmt.Errorf("sts: %w", access.ErrNotAsked)
		}, 503, "try again"},
		"made, and lost": {func(made access.Credentials) (access.Credentials, error) {
			return made, fmt.Errorf("sts: %w", access.ErrLost)
		}, 503, "try again"},
		"denied": {func(access.Credentials) (access.Credentials, error) {
			return none, fmt.Errorf("AccessDenied: %w", access.ErrDenied)
		}, 503, "the server's log"},
		"told of in words": {func(made access.Credentials) (access.Credentials, error) {
			return none, fmt.Errorf("cannot read %v %+v %s %q", made, made, made, made)
		}, 503, "try again"},
	} {
		r.lends.mu.Lock()
		r.lends.vends = c.vends
		r.lends.mu.Unlock()
		before, n := r.dump(), len(r.refusals(0))
		a := r.vend("dana", g.ID)
		p := a.problem(t)
		if a.status != c.status || !strings.Contains(hint(p.Hint), c.hint) || strings.Contains(a.text, "AccessDenied") || strings.Contains(a.text, "ASIA") {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
		r.unchanged(before)
		r.recorded(n, "dana", "credentials", access.ErrUnavailable.Error(), "AWS does not hand out credentials")
	}
	r.lends.mu.Lock()
	r.lends.vends = func(made access.Credentials) (access.Credentials, error) {
		answer, err := r.as("amy").End(t.Context(), g.ID, client.CommentBody{})
		if err == nil && answer.StatusCode != http.StatusOK {
			err = errors.New(answer.Status)
		}
		return made, err
	}
	r.lends.mu.Unlock()
	if a := r.vend("dana", g.ID); a.status != http.StatusConflict || !strings.Contains(a.problem(t).Detail, "is ending, not active") {
		t.Errorf("ended meanwhile: %d %s", a.status, a.text)
	}
	for _, e := range r.events() {
		if e.Kind == "grant.vended" {
			t.Errorf("recorded: %s", e.Text)
		}
	}
}

// TestPagesTellOfNoGrantThatIsNotForTheseEyes reads everybody's grants as somebody who may see few of them.
func TestPagesTellOfNoGrantThatIsNotForTheseEyes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var danas []string
	for range 5 {
		danas = append(danas, r.approved("dana").Id)
		r.clock.Advance(time.Millisecond)
	}
	hers := r.holding("lena", "play ReadOnly").ID
	all := true
	for _, limit := range []int64{1, 2, 5, 1000} {
		after := ""
		for range 3 {
			answer, err := r.as("lena").ListGrants(t.Context(), &client.ListGrantsParams{All: &all, Ended: &all, Limit: &limit, After: &after})
			page := ok[client.GrantsOutputBody](r, answer, err)
			for _, id := range danas {
				if page.Next != nil && strings.HasSuffix(*page.Next, id) {
					t.Errorf("with pages of %d the cursor is %s", limit, *page.Next)
				}
			}
			for _, g := range page.Grants {
				if g.Id != hers {
					t.Errorf("lena sees %s", g.Id)
				}
			}
			if after = ""; page.Next == nil {
				break
			}
			after = *page.Next
		}
	}
	if got := r.grantsByPages("lena", true); len(got) != 1 || got[0] != hers {
		t.Errorf("lena sees %v", got)
	}
}

func TestWhatIsSaidTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	until := r.clock.Now().Add(time.Hour).Format(time.RFC3339)
	request := r.ask("dana").Id
	for _, c := range []struct{ user, path, body string }{
		{"kim", "/v1/me/away", `{"until":"` + until + `","delegate":"lena","note":"on a train"}`},
		{"kim", "/v1/me/back", ""},
		{"dana", "/v1/favourites", `{"name":"prod","request":"` + request + `"}`},
		{"amy", "/v1/groups", `{"account":"play","permissionSet":"Admin"}`},
	} {
		first := r.raw(c.user, http.MethodPost, c.path, c.body)
		if first.status != http.StatusOK {
			t.Errorf("%s: %d %s", c.path, first.status, first.text)
		}
		r.clock.Advance(time.Second)
		before := r.dump()
		if again := r.raw(c.user, http.MethodPost, c.path, c.body); again.status != first.status || again.text != first.text {
			t.Errorf("%s again: %d %s\nfirst: %s", c.path, again.status, again.text, first.text)
		}
		r.unchanged(before)
	}
}
