package api

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/api/client"
	"sparekey/internal/store"
)

// Targets of the rig that go their own ways.
const (
	reviewed = "shop-prod ReadOnly"
	deployer = "play role/Deployer"
	lentSet  = "play Admin"
)

func pointer[T any](v T) *T { return &v }

// holding gives somebody something that needs nobody's approval, and returns the grant once it is active.
func (r *rig) holding(user, target string) access.Grant {
	r.Helper()
	answer, err := r.asking(user, 30, target)
	return r.active(ok[client.Request](r, answer, err).Lines[0].Grant.Id)
}

// active lets the time pass that a grant needs to become active.
func (r *rig) active(id string) (g access.Grant) {
	r.Helper()
	for range 100 {
		r.work()
		r.must(r.store.View(r.Context(), func(tx *store.Tx) (err error) { g, err = tx.Grant(id); return err }))
		if g.State == access.Active {
			return g
		}
		r.clock.Advance(5 * time.Second)
	}
	r.Fatalf("%s is %s: %s %s", id, g.State, g.Trouble, g.Failure)
	return g
}

// used gives somebody a target, and they are done with it.
func (r *rig) used(user, target string) access.Grant {
	r.Helper()
	g := r.holding(user, target)
	answer, err := r.as(user).End(r.Context(), g.ID, client.CommentBody{})
	ok[client.Grant](r, answer, err)
	for range 100 {
		r.work()
		r.must(r.store.View(r.Context(), func(tx *store.Tx) (err error) { g, err = tx.Grant(g.ID); return err }))
		if !g.Live() {
			return g
		}
		r.clock.Advance(5 * time.Second)
	}
	r.Fatalf("%s does not end: %s", g.ID, g.State)
	return g
}

func reviewOfGrant(g access.Grant) string { return "rev" + strings.TrimPrefix(g.ID, "g") }

// favoured keeps a request of somebody's under a name.
func (r *rig) favoured(user, name string) client.Favourite {
	r.Helper()
	answer, err := r.as(user).Favour(r.Context(), client.FavourRequest{Name: name, Request: r.ask(user).Id})
	return ok[client.Favourite](r, answer, err)
}

// pagesOfWhatWasAsked reads requests and grants one by one, and gets what there is, once each.
func (r *rig) pagesOfWhatWasAsked() {
	r.Helper()
	answer, err := r.as("dana").ListRequests(r.Context(), &client.ListRequestsParams{})
	whole := ok[client.RequestsOutputBody](r, answer, err)
	var asked, want []string
	for _, q := range whole.Requests {
		want = append(want, q.Id)
	}
	one := int64(1)
	for after := (*string)(nil); len(asked) <= len(want); {
		answer, err := r.as("dana").ListRequests(r.Context(), &client.ListRequestsParams{After: after, Limit: &one})
		page := ok[client.RequestsOutputBody](r, answer, err)
		for _, q := range page.Requests {
			asked = append(asked, q.Id)
		}
		if after = page.Next; after == nil {
			break
		}
	}
	if len(want) < 3 || !slices.Equal(asked, want) {
		r.Errorf("dana asked %v, page by page %v", want, asked)
	}
	all := r.grantsByPages("dana", false)
	if len(all) < 2 || !slices.Equal(all, r.grantsByPages("ana", true)) {
		r.Errorf("dana held %v, of everybody's %v", all, r.grantsByPages("ana", true))
	}
}

// grantsByPages reads all that somebody may see of what is and was held, one by one, the newest first.
func (r *rig) grantsByPages(user string, everybodys bool) (ids []string) {
	r.Helper()
	one, ended := int64(1), true
	for after := (*string)(nil); len(ids) < 100; {
		answer, err := r.as(user).ListGrants(r.Context(), &client.ListGrantsParams{All: &everybodys, Ended: &ended, After: after, Limit: &one})
		page := ok[client.GrantsOutputBody](r, answer, err)
		for _, g := range page.Grants {
			ids = append(ids, g.Id)
		}
		if after = page.Next; after == nil {
			return ids
		}
	}
	r.Fatal("the pages do not end")
	return nil
}

// absence has kim away, lena deciding for her, and kim back.
func (r *rig) absence() {
	r.Helper()
	until := r.clock.Now().Add(2 * time.Hour).UTC().Truncate(time.Second)
	answer, err := r.as("kim").Away(r.Context(), client.AwayBody{Until: until, Delegate: pointer("lena"), Note: pointer("on a train")})
	if a := ok[client.Absence](r, answer, err); a.Person.User != "kim" || a.Delegate.User != "lena" || !a.Until.Equal(until) || *a.Note != "on a train" {
		r.Errorf("kim said that she is away: %+v", a)
	}
	answer, err = r.as("dana").ListAbsences(r.Context())
	if list := ok[client.AbsencesOutputBody](r, answer, err).Absences; len(list) != 1 || list[0].Person.User != "kim" || list[0].Delegate.User != "lena" {
		r.Errorf("away are %+v", list)
	}
	answer, err = r.as("dana").Why(r.Context(), &client.WhyParams{Person: "dana", Account: "payments-prod", PermissionSet: "PowerUser"})
	if e := ok[client.Explanation](r, answer, err); !slices.Equal(e.CanApprove, []string{"lena", "ren", "rita"}) {
		r.Errorf("while kim is away, %v can approve", e.CanApprove)
	}
	id := r.ask("dana").Id
	answer, err = r.as("lena").ListApprovals(r.Context())
	if list := ok[client.ApprovalsOutputBody](r, answer, err).Requests; len(list) != 1 || list[0].Id != id {
		r.Errorf("lena may decide %+v", list)
	}
	answer, err = r.as("lena").Approve(r.Context(), id, client.ApproveBody{Minutes: pointer(int64(10))})
	l := ok[client.Request](r, answer, err).Lines[0]
	if a := l.Approvals; l.State != client.LineStateApproved || len(a) != 1 || a[0].By.User != "lena" || a[0].For.User != "kim" || a[0].Minutes != 10 || l.Minutes != 10 || l.Grant.Minutes != 10 {
		r.Errorf("lena approved for kim: %+v", l)
	}
	answer, err = r.as("kim").Back(r.Context())
	if !ok[client.DoneOutputBody](r, answer, err).Done {
		r.Error("kim is not back")
	}
	r.away("kim", "lena")
	answer, err = r.as("amy").EndAbsence(r.Context(), "kim")
	if !ok[client.DoneOutputBody](r, answer, err).Done {
		r.Error("kim's absence is not over")
	}
	answer, err = r.as("dana").ListAbsences(r.Context())
	if list := ok[client.AbsencesOutputBody](r, answer, err).Absences; len(list) != 0 {
		r.Errorf("away are %+v", list)
	}
}

// lookedAt has dana use what is reviewed, and kim find something wrong.
func (r *rig) lookedAt() {
	r.Helper()
	g := r.holding("dana", reviewed)
	for user, yours := range map[string]bool{"dana": false, "kim": true, "ana": false} {
		answer, err := r.as(user).ListReviews(r.Context(), &client.ListReviewsParams{})
		list := ok[client.ReviewsOutputBody](r, answer, err).Reviews
		if len(list) != 1 || list[0].Id != reviewOfGrant(g) || list[0].Yours != yours || list[0].State != client.ReviewStateOpen || list[0].Person.User != "dana" ||
			list[0].Reviewers != "1 of approvers" || !list[0].DueAt.Equal(g.EndsAt.Add(24*time.Hour)) || list[0].Overdue {
			r.Errorf("%s sees the reviews %+v", user, list)
		}
	}
	answer, err := r.as("lena").ListReviews(r.Context(), &client.ListReviewsParams{})
	if list := ok[client.ReviewsOutputBody](r, answer, err).Reviews; len(list) != 0 {
		r.Errorf("lena sees the reviews %+v", list)
	}
	answer, err = r.as("kim").Conclude(r.Context(), reviewOfGrant(g), client.ConcludeBody{Wrong: true, Comment: pointer("read too much")})
	if v := ok[client.Review](r, answer, err); v.State != client.ReviewStateDone || !v.Wrong || v.Done.By != "kim" || *v.Done.Comment != "read too much" || v.Yours {
		r.Errorf("concluded: %+v", v)
	}
	for _, user := range []string{"dana", "kim", "ren"} {
		answer, err = r.as(user).GetReview(r.Context(), reviewOfGrant(g))
		if v := ok[client.Review](r, answer, err); v.Done == nil || v.Yours || v.Grant != g.ID {
			r.Errorf("%s sees %+v", user, v)
		}
	}
}

func (r *rig) often() {
	r.Helper()
	f := r.favoured("dana", "prod")
	answer, err := r.as("dana").ListFavourites(r.Context())
	list := ok[client.FavouritesOutputBody](r, answer, err).Favourites
	if len(list) != 1 || fmt.Sprint(list[0].Targets) != fmt.Sprint(f.Targets) || f.Name != "prod" || f.Minutes != 30 || *f.Reason != "INC-4711" || f.Targets[0].Account != "100000000002" {
		r.Errorf("dana asks often for %+v", list)
	}
	answer, err = r.as("kim").ListFavourites(r.Context())
	if list := ok[client.FavouritesOutputBody](r, answer, err).Favourites; len(list) != 0 {
		r.Errorf("kim asks often for %+v", list)
	}
	answer, err = r.as("dana").Disfavour(r.Context(), "prod")
	ok[client.DoneOutputBody](r, answer, err)
	answer, err = r.as("dana").ListFavourites(r.Context())
	if list := ok[client.FavouritesOutputBody](r, answer, err).Favourites; len(list) != 0 {
		r.Errorf("dana asks often for %+v", list)
	}
}

func (r *rig) sessions() {
	r.Helper()
	g := r.holding("dana", deployer)
	narrow := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}]}`
	answer, err := r.as("dana").Vend(r.Context(), g.ID, client.VendBody{Minutes: pointer(int64(15)), Policy: &narrow})
	c := ok[client.Credentials](r, answer, err)
	if !strings.HasPrefix(c.SecretAccessKey, secretMark) || !strings.HasPrefix(c.SessionToken, tokenMark) || !c.Expires.Equal(r.clock.Now().Add(15*time.Minute)) {
		r.Errorf("vended until %s", c.Expires)
	}
	if v := r.lends.vended[len(r.lends.vended)-1]; v.Grant != g.ID || v.Person.User != "dana" || v.Narrower != narrow || v.Lasts != 15*time.Minute || !v.End.Equal(g.EndsAt) || v.Target.PermissionSet != "role/Deployer" {
		r.Errorf("asked of AWS: %+v", v)
	}
}

func (r *rig) byMembership() {
	r.Helper()
	answer, err := r.as("amy").PrepareGroup(r.Context(), client.AskTarget{Account: "play", PermissionSet: "Admin"})
	if g := ok[client.LentGroup](r, answer, err); g.Ready || g.Group != nil || g.Name != "sparekey 100000000004 Admin" || g.Target.AccountName != "play" {
		r.Errorf("prepared: %+v", g)
	}
	if g := r.read(r.asking("dana", 30, lentSet)); g.status != 403 || !strings.Contains(g.text, "none was made") {
		r.Errorf("before the group is there: %d %s", g.status, g.text)
	}
	r.must(r.broker.MakeGroups(audit.By(r.Context(), "test")))
	answer, err = r.as("ana").ListGroups(r.Context())
	if list := ok[client.GroupsOutputBody](r, answer, err).Groups; len(list) != 1 || !list[0].Ready || *list[0].Group != "group-1" || list[0].Trouble != nil {
		r.Errorf("groups are %+v", list)
	}
	if g := r.holding("dana", lentSet); g.Way != access.Membership || g.Group != "group-1" || !r.lends.there[g.Key()] {
		r.Errorf("lent: %+v", g)
	}
}

// longer asks with a ticket, for later, and for longer.
func (r *rig) longer() {
	r.Helper()
	later := r.clock.Now().Add(time.Hour).UTC().Truncate(time.Second)
	question := &client.WhyParams{Person: "dana", Account: "payments-prod", PermissionSet: "ReadOnly", Ticket: pointer("INC-1"), StartAt: &later}
	answer, err := r.as("dana").Why(r.Context(), question)
	if e := ok[client.Explanation](r, answer, err); !e.Allowed || e.Rule.Name != "ticketed" {
		r.Errorf("why: %+v", e)
	}
	question.Ticket = pointer("CHG-1")
	answer, err = r.as("dana").Why(r.Context(), question)
	if e := ok[client.Explanation](r, answer, err); e.Allowed || !strings.Contains(e.Why[0], "needs a ticket like INC-[0-9]+") {
		r.Errorf("why with another ticket: %+v", e)
	}
	body := wish(30, "payments-prod ReadOnly")
	body.Ticket, body.StartAt = pointer("INC-1"), &later
	q := r.keyed("dana", "a-key-of-its-own", body)
	if !strings.Contains(q.text, `"ticket":"INC-1"`) || !strings.Contains(q.text, `"startAt":"`+later.Format(time.RFC3339)) {
		r.Errorf("asked: %d %s", q.status, q.text)
	}
	body.StartAt = nil
	answer, err = r.as("dana").Ask(r.Context(), &client.AskParams{IdempotencyKey: "another-key"}, body)
	answer, err = r.as("kim").Approve(r.Context(), ok[client.Request](r, answer, err).Id, client.ApproveBody{})
	first := r.active(ok[client.Request](r, answer, err).Lines[0].Grant.Id)
	second := r.extended("dana", first.ID, 20).Lines[0]
	if second.State != client.LineStateApproved || second.Grant.Extends == nil || *second.Grant.Extends != first.ID || second.Grant.Minutes > 50 || second.Decided.By != "rules" {
		r.Errorf("extended: %+v", second)
	}
	r.active(second.Grant.Id)
	r.clock.Advance(25 * time.Minute) // the rule gives an hour at once
	if third := r.extended("dana", second.Grant.Id, 11).Lines[0]; third.State != client.LineStatePending || third.Needed != 1 {
		r.Errorf("extended by more than the rule lets be: %+v", third)
	}
}

func (r *rig) extended(user, grant string, minutes int64) client.Request {
	r.Helper()
	answer, err := r.as(user).Ask(r.Context(), &client.AskParams{IdempotencyKey: "longer-" + grant}, client.AskBody{Targets: []client.AskTarget{}, Minutes: minutes, Extends: &grant})
	return ok[client.Request](r, answer, err)
}
