package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sparekey/internal/api/client"
)

func TestEveryOperationWorksThroughTheGeneratedClient(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.looksAround()
	r.whyAndWhyNot()
	r.oneLife()
	r.otherEnds()
	r.killed()
	r.pagesOfWhatWasAsked()
	r.absence()
	r.lookedAt()
	r.often()
	r.sessions()
	r.byMembership()
	r.anchored()
	r.longer()
	r.rulesChange()
	r.redButton()
	r.releases()
	for path, methods := range r.contract.Paths {
		for method, op := range methods {
			if !r.contract.seen[op.ID+" 200"] {
				t.Errorf("nobody called %s %s", method, path)
			}
		}
	}
}

func (r *rig) looksAround() {
	r.Helper()
	answer, err := r.as("dana").Me(r.Context())
	if me := ok[client.Me](r, answer, err); me.User != "dana" || me.Administrator || me.Auditor || !slices.Equal(me.Groups, []string{"developers"}) {
		r.Errorf("dana is %+v", me)
	}
	answer, err = r.as("amy").Me(r.Context())
	if me := ok[client.Me](r, answer, err); !me.Administrator || !me.Auditor {
		r.Errorf("amy is %+v", me)
	}
	answer, err = r.as("dana").Status(r.Context())
	if s := ok[client.Status](r, answer, err); !s.Ready || s.Accounts != 4 || s.People != 8 || s.Version != "test" || s.MirrorAt == nil || s.MirrorError != nil || !s.Now.Equal(start) || !strings.HasPrefix(*s.Rules, "sha256:") {
		r.Errorf("the status is %+v", s)
	}
	all := r.offers("dana", "", "")
	if want := "payments-prod PowerUser 1h0m0s/1 4h0m0s/2, payments-prod ReadOnly 1h0m0s/1, play PowerUser 8h0m0s/0, play ReadOnly 8h0m0s/0, " +
		"play role/Deployer 2h0m0s/0, shop-prod PowerUser 1h0m0s/1 4h0m0s/2, shop-prod ReadOnly 1h0m0s/0"; all != want {
		r.Errorf("dana may ask for %s\nwant %s", all, want)
	}
	if some := r.offers("dana", "team=pay", "power"); some != "payments-prod PowerUser 1h0m0s/1 4h0m0s/2" {
		r.Errorf("filtered: %s", some)
	}
	if none := r.offers("ana", "", ""); none != "" {
		r.Errorf("ana may ask for %s", none)
	}
	r.pages(all)
}

// offers writes what somebody may ask for: each target with how long each way gives it and how many must agree.
func (r *rig) offers(user, account, set string) string {
	r.Helper()
	answer, err := r.as(user).ListAccess(r.Context(), &client.ListAccessParams{Account: &account, PermissionSet: &set})
	var all []string
	for _, o := range ok[client.AccessOutputBody](r, answer, err).Offers {
		all = append(all, offerText(o))
	}
	return strings.Join(all, ", ")
}

func offerText(o client.Offer) string {
	text := o.Account.Name + " " + o.PermissionSet
	for _, w := range o.Ways {
		text += " " + (time.Duration(w.LongestMinutes) * time.Minute).String() + "/" + string(rune('0'+w.Approvals))
	}
	return text
}

// pages reads what there is one by one, and gets the same.
func (r *rig) pages(want string) {
	r.Helper()
	var all []string
	one := int64(1)
	for after := ""; len(all) < 10; {
		answer, err := r.as("dana").ListAccess(r.Context(), &client.ListAccessParams{After: &after, Limit: &one})
		page := ok[client.AccessOutputBody](r, answer, err)
		for _, o := range page.Offers {
			all = append(all, offerText(o))
		}
		if page.Next == nil {
			break
		}
		after = *page.Next
	}
	if got := strings.Join(all, ", "); got != want {
		r.Errorf("page by page: %s", got)
	}
	lost := "100000000099/Gone"
	answer, err := r.as("dana").ListAccess(r.Context(), &client.ListAccessParams{After: &lost})
	if g := r.read(answer, err); g.status != http.StatusBadRequest {
		r.Errorf("after a page that is not there: %d", g.status)
	}
}

func (r *rig) whyAndWhyNot() {
	r.Helper()
	answer, err := r.as("dana").Why(r.Context(), &client.WhyParams{Person: "dana", Account: "payments-prod", PermissionSet: "PowerUser"})
	yes := ok[client.Explanation](r, answer, err)
	if !yes.Allowed || yes.Rule.Name != "prod" || yes.Rule.File != "rules.yaml" || yes.Rule.Line != 10 || yes.Approvals != 1 || yes.LongestMinutes != 60 ||
		yes.Approvers != "1 of approvers" || !slices.Equal(yes.CanApprove, []string{"kim", "ren", "rita"}) || yes.Nobody != nil {
		r.Errorf("why: %+v with %+v", yes, yes.Rule)
	}
	long := int64(120)
	answer, err = r.as("dana").Why(r.Context(), &client.WhyParams{Person: "dana", Account: "100000000002", PermissionSet: yes.Target.PermissionSetArn, Minutes: &long})
	if e := ok[client.Explanation](r, answer, err); e.Rule.Name != "prod-long" || e.Approvals != 2 {
		r.Errorf("why for two hours: %+v with %+v", e, e.Rule)
	}
	answer, err = r.as("ana").Why(r.Context(), &client.WhyParams{Person: "ren", Account: "play", PermissionSet: "Admin"})
	if no := ok[client.Explanation](r, answer, err); no.Allowed || no.Rule != nil || len(no.Why) == 0 || no.Approvers != "" {
		r.Errorf("why not: %+v", no)
	}
}

// oneLife follows a request of two lines through approval, AWS and the end.
func (r *rig) oneLife() {
	r.Helper()
	answer, err := r.asking("dana", 30, "payments-prod PowerUser", "play ReadOnly")
	asked := ok[client.Request](r, answer, err)
	prod, play := asked.Lines[0], asked.Lines[1]
	if !asked.Open || asked.Requester.User != "dana" || asked.Minutes != 30 || asked.LapsesAt.Sub(asked.AskedAt) != 3*time.Hour || asked.Reason != "INC-4711" ||
		prod.State != client.LineStatePending || prod.Able != 3 || prod.Needed != 1 || prod.Grant != nil || play.State != client.LineStateApproved || play.Decided.By != "rules" || play.Grant == nil {
		r.Errorf("asked: %+v", asked)
	}
	answer, err = r.as("kim").ListApprovals(r.Context())
	pending := ok[client.ApprovalsOutputBody](r, answer, err).Requests
	if len(pending) != 1 || pending[0].Id != asked.Id || !slices.Equal(pending[0].Yours, []int64{1}) {
		r.Errorf("kim may decide %+v", pending)
	}
	comment := "go ahead"
	answer, err = r.as("kim").Approve(r.Context(), asked.Id, client.ApproveBody{Comment: &comment})
	approved := ok[client.Request](r, answer, err)
	if l := approved.Lines[0]; approved.Open || l.State != client.LineStateApproved || l.Approvals[0].By.User != "kim" || *l.Approvals[0].Comment != comment || l.Grant.State != client.GrantStateWaiting {
		r.Errorf("approved: %+v", approved)
	}
	r.work()
	r.holds(asked.Id)
}

// holds looks at the grants of a request while they live, and ends one.
func (r *rig) holds(id string) {
	r.Helper()
	answer, err := r.as("dana").GetRequest(r.Context(), id, &client.GetRequestParams{})
	g := *ok[client.Request](r, answer, err).Lines[0].Grant
	if g.State != client.GrantStateActive || !g.EndsAt.Equal(g.ActiveAt.Add(30*time.Minute)) || !g.LastMinute.Equal(g.EndsAt.Add(2*time.Hour)) || !g.LastMinuteSure || g.Standing || g.Request != id || g.Line != 1 {
		r.Errorf("the grant is %+v", g)
	}
	answer, err = r.as("dana").ListGrants(r.Context(), &client.ListGrantsParams{})
	list := ok[client.GrantsOutputBody](r, answer, err)
	if len(list.Grants) != 2 || !list.Now.Equal(r.clock.Now()) {
		r.Errorf("dana holds %+v", list)
	}
	why := "done"
	answer, err = r.as("dana").End(r.Context(), g.Id, client.CommentBody{Comment: &why})
	if g = ok[client.Grant](r, answer, err); g.State != client.GrantStateEnding || *g.EndedBy != "dana" || *g.EndReason != why || g.LastMinuteSure {
		r.Errorf("the grant is %+v", g)
	}
	r.work()
	ended := true
	answer, err = r.as("ana").ListGrants(r.Context(), &client.ListGrantsParams{All: &ended, Ended: &ended})
	list = ok[client.GrantsOutputBody](r, answer, err)
	i := slices.IndexFunc(list.Grants, func(one client.Grant) bool { return one.Id == g.Id })
	if i < 0 || list.Grants[i].State != client.GrantStateEnded || list.Grants[i].EndedAt == nil || !list.Grants[i].LastMinuteSure {
		r.Errorf("the auditor sees %+v", list.Grants)
	}
}

func (r *rig) otherEnds() {
	r.Helper()
	comment := "no"
	answer, err := r.as("ren").Reject(r.Context(), r.ask("dana").Id, client.CommentBody{Comment: &comment})
	if q := ok[client.Request](r, answer, err); q.Lines[0].State != client.LineStateRejected || q.Lines[0].Decided.By != "ren" || *q.Lines[0].Decided.Comment != comment {
		r.Errorf("rejected: %+v", q.Lines[0])
	}
	r.clock.Advance(time.Second)
	answer, err = r.as("dana").Withdraw(r.Context(), r.ask("dana").Id, client.CommentBody{})
	if q := ok[client.Request](r, answer, err); q.Lines[0].State != client.LineStateWithdrawn || q.Open {
		r.Errorf("withdrawn: %+v", q.Lines[0])
	}
	two := int64(2)
	answer, err = r.as("dana").ListRequests(r.Context(), &client.ListRequestsParams{Limit: &two})
	list := ok[client.RequestsOutputBody](r, answer, err)
	if len(list.Requests) != 2 || list.Requests[0].Lines[0].State != client.LineStateWithdrawn {
		r.Errorf("dana's requests are %+v", list)
	}
}

func TestBeforeTheOrganizationWasReadTheServerAnswersAndSaysSo(t *testing.T) {
	t.Parallel()
	r := unread(t)
	answer, err := r.as("dana").Status(t.Context())
	if s := ok[client.Status](r, answer, err); s.Ready || s.MirrorAt != nil || s.Accounts != 0 {
		t.Errorf("the status is %+v", s)
	}
	for _, call := range []func() (*http.Response, error){
		func() (*http.Response, error) {
			return r.as("dana").ListAccess(t.Context(), &client.ListAccessParams{})
		},
		func() (*http.Response, error) { return r.as("dana").ListApprovals(t.Context()) },
		func() (*http.Response, error) { return r.asking("dana", 30, "play ReadOnly") },
		func() (*http.Response, error) {
			return r.as("dana").Why(t.Context(), &client.WhyParams{Person: "dana", Account: "play", PermissionSet: "ReadOnly"})
		},
	} {
		g := r.read(call())
		if p := g.problem(t); g.status != http.StatusServiceUnavailable || p.Hint == nil || !strings.Contains(p.Detail, "not been read") {
			t.Errorf("%d %+v", g.status, p)
		}
	}
}
