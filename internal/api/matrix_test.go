package api

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/api/client"
)

// cell is who does what to whose.
type cell struct {
	operation string
	user      string // who does it; "" has no token
	whose     string // request, grant, or the person asked about
}

// who are the people of the table, with what they are to dana's request.
var who = map[string]string{
	"dana": "requester", "kim": "approver", "lena": "other developer", "amy": "administrator", "ana": "auditor", "dino": "disabled person", "": "nobody",
}

// The table: what everybody is answered who does something to dana's, and to their own. A person who may not see something
// is told that it is not there (404); who sees it and may not do it is refused (403).
//
//	dana   kim    lena   amy    ana    dino   nobody
var foreign = map[string][7]int{
	"getRequest":    {200, 200, 404, 200, 200, 403, 401},
	"approve":       {403, 200, 404, 403, 403, 403, 401},
	"reject":        {403, 200, 404, 403, 403, 403, 401},
	"withdraw":      {200, 403, 404, 403, 403, 403, 401},
	"end":           {200, 200, 404, 200, 403, 403, 401},
	"kill":          {200, 403, 404, 200, 403, 403, 401}, // who approved it may end it, and no more
	"listKills":     {200, 200, 200, 200, 200, 403, 401},
	"checkKills":    {403, 403, 403, 200, 200, 403, 401},
	"listAnchors":   {403, 403, 403, 200, 200, 403, 401},
	"anchor":        {403, 403, 403, 200, 403, 403, 401},
	"anchorAll":     {403, 403, 403, 200, 403, 403, 401},
	"why":           {200, 403, 403, 200, 200, 403, 401},
	"me":            {200, 200, 200, 200, 200, 403, 401},
	"status":        {200, 200, 200, 200, 200, 403, 401},
	"listAccess":    {200, 200, 200, 200, 200, 403, 401},
	"listRequests":  {200, 200, 200, 200, 200, 403, 401},
	"listApprovals": {200, 200, 200, 200, 200, 403, 401},
	"listGrants":    {200, 200, 200, 200, 200, 403, 401},
	"ask":           {200, 200, 200, 403, 403, 403, 401},

	"listReviews":    {200, 200, 200, 200, 200, 403, 401},
	"getReview":      {200, 200, 404, 200, 200, 403, 401},
	"conclude":       {403, 200, 404, 403, 403, 403, 401},
	"listAbsences":   {200, 200, 200, 200, 200, 403, 401},
	"away":           {200, 200, 200, 200, 200, 403, 401}, // one's own absence only
	"back":           {200, 200, 200, 200, 200, 403, 401},
	"endAbsence":     {403, 403, 403, 200, 403, 403, 401},
	"listFavourites": {200, 200, 200, 200, 200, 403, 401},
	"favour":         {200, 403, 404, 403, 403, 403, 401}, // of dana's request
	"disfavour":      {200, 404, 404, 404, 404, 403, 401}, // everybody's names are their own
	"vend":           {200, 404, 404, 403, 403, 403, 401},
	"listGroups":     {403, 403, 403, 200, 200, 403, 401},
	"prepareGroup":   {403, 403, 403, 200, 403, 403, 401},
	"listRules":      {403, 403, 403, 200, 200, 403, 401},
	"diffRules":      {403, 403, 403, 200, 200, 403, 401},
	"getRules":       {403, 403, 403, 200, 200, 403, 401},
	"proposeRules":   {403, 403, 403, 200, 403, 403, 401},
	"agreeRules":     {403, 403, 403, 200, 403, 403, 401},
	"rejectRules":    {403, 403, 403, 200, 403, 403, 401},
	"estimateStop":   {403, 403, 403, 200, 403, 403, 401},
	"stop":           {403, 403, 403, 200, 403, 403, 401},
	"listStops":      {403, 403, 403, 200, 200, 403, 401},
	"drift":          {403, 403, 403, 200, 200, 403, 401},
	"liftStop":       {403, 403, 403, 200, 403, 403, 401},
	"activateRules":  {403, 403, 403, 200, 403, 403, 401},

	"releaseRecovery": {403, 403, 403, 409, 403, 403, 401}, // there is none
}

// own is the same for what is one's own. Nobody but developers has a request; the approver's own waits for another one.
var own = map[string]map[string]int{
	"kim": {
		"getRequest": 200, "approve": 403, "reject": 403, "withdraw": 200, "end": 200, "kill": 200, "why": 200, "getReview": 200, "conclude": 403, "favour": 200, "disfavour": 200, "vend": 200,
	},
	"lena": {
		"getRequest": 200, "approve": 403, "reject": 403, "withdraw": 200, "end": 200, "kill": 200, "why": 200, "getReview": 200, "conclude": 403, "favour": 200, "disfavour": 200, "vend": 200,
	},
	"amy": {"why": 200}, "ana": {"why": 200}, "dino": {"why": 403},
}

var columns = []string{"dana", "kim", "lena", "amy", "ana", "dino", ""}

func TestWhoMayDoWhatToWhose(t *testing.T) {
	t.Parallel()
	for operation, row := range foreign {
		r := newRig(t) // of its own: each cell compares all that there is, and leaves something
		for i, user := range columns {
			r.try(t, cell{operation, user, "dana"}, row[i])
		}
	}
	r := newRig(t)
	for user, row := range own {
		for operation, status := range row {
			r.try(t, cell{operation, user, user}, status)
		}
	}
	for _, methods := range r.contract.Paths {
		for _, op := range methods {
			if _, there := foreign[op.ID]; !there {
				t.Errorf("%s is not in the table", op.ID)
			}
		}
	}
}

// try fills a cell: something fresh is made, the call is made, and what came of it is held against the table.
func (r *rig) try(t *testing.T, c cell, status int) {
	t.Run(fmt.Sprintf("%s of %s by the %s", c.operation, c.whose, who[c.user]), func(t *testing.T) {
		outer := r.TB
		r.TB = t
		defer func() { r.TB = outer }()
		call := r.call(c)
		before, n := r.dump(), len(r.refusals(0))
		g := call()
		if g.status != status {
			t.Fatalf("%d, want %d: %s", g.status, status, g.text)
		}
		if status == http.StatusOK {
			return
		}
		r.unchanged(before)
		if status == http.StatusUnauthorized {
			r.broker.RecordUnproven(t.Context())
			r.summed(r.refusals(n), map[string]int{"no token": 1})
			return
		}
		kind := access.ErrRefused
		if status == http.StatusNotFound {
			kind = access.ErrUnknown
		}
		if status == http.StatusConflict {
			kind = access.ErrOver
		}
		r.recorded(n, c.user, commands[c.operation], kind.Error(), g.problem(t).Detail)
	})
}

// call makes what the call is about, and returns the call.
func (r *rig) call(c cell) func() got {
	r.Helper()
	as, ctx := r.as(c.user), r.Context()
	request, grant, review, stop := "req-000000", "g-000000", "rev-000000", "stop-000000"
	if c.operation == "liftStop" {
		stop = r.stopped()
	}
	if c.whose == "dana" || c.whose == "kim" || c.whose == "lena" {
		switch c.operation {
		case "getRequest", "approve", "reject", "withdraw", "favour":
			request = r.ask(c.whose).Id
		case "end", "kill":
			grant = r.approved(c.whose).Id
		case "vend":
			grant = r.holding(c.whose, deployer).ID
		case "getReview", "conclude":
			review = reviewOfGrant(r.used(c.whose, reviewed))
		case "endAbsence":
			r.away(c.whose, "rita")
		case "disfavour":
			r.favoured(c.whose, "often")
		}
	}
	digest := r.bookFor(c.operation)
	calls := map[string]func() (*http.Response, error){
		"me": func() (*http.Response, error) { return as.Me(ctx) }, "status": func() (*http.Response, error) { return as.Status(ctx) },
		"listAccess":    func() (*http.Response, error) { return as.ListAccess(ctx, &client.ListAccessParams{}) },
		"listRequests":  func() (*http.Response, error) { return as.ListRequests(ctx, &client.ListRequestsParams{}) },
		"listApprovals": func() (*http.Response, error) { return as.ListApprovals(ctx) },
		"listGrants":    func() (*http.Response, error) { return as.ListGrants(ctx, &client.ListGrantsParams{}) },
		"getRequest":    func() (*http.Response, error) { return as.GetRequest(ctx, request, &client.GetRequestParams{}) },
		"approve":       func() (*http.Response, error) { return as.Approve(ctx, request, client.ApproveBody{}) },
		"reject":        func() (*http.Response, error) { return as.Reject(ctx, request, client.CommentBody{}) },
		"withdraw":      func() (*http.Response, error) { return as.Withdraw(ctx, request, client.CommentBody{}) },
		"end":           func() (*http.Response, error) { return as.End(ctx, grant, client.CommentBody{}) },
		"kill":          func() (*http.Response, error) { return as.Kill(ctx, grant, client.CommentBody{}) },
		"listKills":     func() (*http.Response, error) { return as.ListKills(ctx, &client.ListKillsParams{}) },
		"listAnchors":   func() (*http.Response, error) { return as.ListAnchors(ctx) },
		"anchor": func() (*http.Response, error) {
			return as.Anchor(ctx, client.AskTarget{Account: "play", PermissionSet: "ReadOnly"})
		},
		"anchorAll":  func() (*http.Response, error) { return as.AnchorAll(ctx) },
		"checkKills": func() (*http.Response, error) { return as.CheckKills(ctx) },
		"why": func() (*http.Response, error) {
			return as.Why(ctx, &client.WhyParams{Person: c.whose, Account: "play", PermissionSet: "ReadOnly"})
		},
		"ask": func() (*http.Response, error) {
			return as.Ask(ctx, &client.AskParams{IdempotencyKey: rand.Text()}, wish(30, "play ReadOnly"))
		},

		"listReviews":  func() (*http.Response, error) { return as.ListReviews(ctx, &client.ListReviewsParams{}) },
		"getReview":    func() (*http.Response, error) { return as.GetReview(ctx, review) },
		"conclude":     func() (*http.Response, error) { return as.Conclude(ctx, review, client.ConcludeBody{}) },
		"listAbsences": func() (*http.Response, error) { return as.ListAbsences(ctx) },
		"away": func() (*http.Response, error) {
			return as.Away(ctx, client.AwayBody{Until: r.clock.Now().Add(time.Hour)})
		},
		"back":           func() (*http.Response, error) { return as.Back(ctx) },
		"endAbsence":     func() (*http.Response, error) { return as.EndAbsence(ctx, "dana") },
		"listFavourites": func() (*http.Response, error) { return as.ListFavourites(ctx) },
		"favour": func() (*http.Response, error) {
			return as.Favour(ctx, client.FavourRequest{Name: "often", Request: request})
		},
		"disfavour":  func() (*http.Response, error) { return as.Disfavour(ctx, "often") },
		"vend":       func() (*http.Response, error) { return as.Vend(ctx, grant, client.VendBody{}) },
		"listGroups": func() (*http.Response, error) { return as.ListGroups(ctx) },
		"prepareGroup": func() (*http.Response, error) {
			return as.PrepareGroup(ctx, client.AskTarget{Account: "play", PermissionSet: "Admin"})
		},
		"listRules":     func() (*http.Response, error) { return as.ListRules(ctx, &client.ListRulesParams{}) },
		"diffRules":     func() (*http.Response, error) { return as.DiffRules(ctx, client.RuleFilesBody{Files: ruleFiles(book)}) },
		"proposeRules":  func() (*http.Response, error) { return as.ProposeRules(ctx, client.ProposeBody{Files: sameRules()}) },
		"getRules":      func() (*http.Response, error) { return as.GetRules(ctx, digest) },
		"agreeRules":    func() (*http.Response, error) { return as.AgreeRules(ctx, digest) },
		"rejectRules":   func() (*http.Response, error) { return as.RejectRules(ctx, digest, client.CommentBody{}) },
		"activateRules": func() (*http.Response, error) { return as.ActivateRules(ctx, digest) },

		"estimateStop": func() (*http.Response, error) { return as.EstimateStop(ctx, client.StopScope{Person: some("dana")}) },
		"stop": func() (*http.Response, error) {
			return as.Stop(ctx, client.StopBody{Person: some("dana"), Comment: "an exercise"})
		},
		"drift":     func() (*http.Response, error) { return as.Drift(ctx, &client.DriftParams{}) },
		"listStops": func() (*http.Response, error) { return as.ListStops(ctx, &client.ListStopsParams{}) },
		"releaseRecovery": func() (*http.Response, error) {
			return as.ReleaseRecovery(ctx, client.CommentBody{Comment: some("looked at AWS")})
		},
		"liftStop": func() (*http.Response, error) { return as.LiftStop(ctx, stop, client.CommentBody{}) },
	}
	return func() got { return r.read(calls[c.operation]()) }
}

func TestListsHoldWhatTheReaderMaySeeAndNothingElse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	waiting, held := r.ask("dana").Id, r.approved("dana").Id
	theirs := r.approved("kim").Id
	answer, err := r.asking("lena", 30, "play ReadOnly") // automatic: no approver could have had a say
	hers := ok[client.Request](r, answer, err).Lines[0].Grant.Id
	all := true
	for user, want := range map[string]struct{ own, all, pending []string }{
		"dana": {[]string{held}, []string{held}, nil}, "kim": {[]string{theirs}, []string{held, theirs}, []string{waiting}},
		"ren": {nil, []string{held, theirs}, []string{waiting}}, "lena": {[]string{hers}, []string{hers}, nil},
		"amy": {nil, []string{held, theirs, hers}, nil}, "ana": {nil, []string{held, theirs, hers}, nil},
	} {
		answer, err := r.as(user).ListGrants(t.Context(), &client.ListGrantsParams{})
		r.same(user+" holds", ok[client.GrantsOutputBody](r, answer, err).Grants, want.own)
		answer, err = r.as(user).ListGrants(t.Context(), &client.ListGrantsParams{All: &all})
		r.same(user+" sees", ok[client.GrantsOutputBody](r, answer, err).Grants, want.all)
		answer, err = r.as(user).ListGrants(t.Context(), &client.ListGrantsParams{All: &all, Ended: &all})
		r.same(user+" sees with what is over", ok[client.GrantsOutputBody](r, answer, err).Grants, want.all)
		answer, err = r.as(user).ListApprovals(t.Context())
		var pending []string
		for _, p := range ok[client.ApprovalsOutputBody](r, answer, err).Requests {
			pending = append(pending, p.Id)
		}
		if !slices.Equal(pending, want.pending) {
			t.Errorf("%s may decide %v, want %v", user, pending, want.pending)
		}
		answer, err = r.as(user).ListRequests(t.Context(), &client.ListRequestsParams{})
		for _, q := range ok[client.RequestsOutputBody](r, answer, err).Requests {
			if q.Requester.User != user {
				t.Errorf("%s's requests have %s's", user, q.Requester.User)
			}
		}
	}
}

func (r *rig) same(what string, grants []client.Grant, want []string) {
	r.Helper()
	ids := []string{}
	for _, g := range grants {
		ids = append(ids, g.Id)
	}
	slices.Sort(ids)
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(ids, want) {
		r.Errorf("%s %v, want %v", what, ids, want)
	}
}

func TestWhatIsNotForTheseEyesIsNotThere(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	request, grant, session, review := r.ask("dana").Id, r.approved("dana").Id, r.holding("dana", deployer).ID, reviewOfGrant(r.holding("dana", reviewed))
	anyID := regexp.MustCompile(`(req|g|rev)-[0-9a-z]{6}`)
	for _, path := range []string{
		"GET /v1/requests/" + request, "POST /v1/requests/" + request + "/approve {}", "POST /v1/requests/" + request + "/withdraw {}", "POST /v1/grants/" + grant + "/end {}", "POST /v1/grants/" + grant + "/kill {}",
		"GET /v1/reviews/" + review, "POST /v1/reviews/" + review + `/conclude {"wrong":false}`, "POST /v1/grants/" + session + "/credentials {}",
		"POST /v1/grants/" + grant + "/credentials {}",
	} {
		method, there, _ := strings.Cut(path, " ")
		there, body, _ := strings.Cut(there, " ")
		not := anyID.ReplaceAllString(there, "$1-zzzzzz")
		a, b := r.raw("lena", method, there, body), r.raw("lena", method, not, body)
		a.text, b.text = anyID.ReplaceAllString(a.text, "ID"), anyID.ReplaceAllString(b.text, "ID")
		if a.status != http.StatusNotFound || a.status != b.status || a.text != b.text || a.header.Get("Content-Length") != b.header.Get("Content-Length") {
			t.Errorf("%s of dana's: %d %s\none that is not there: %d %s", path, a.status, a.text, b.status, b.text)
		}
	}
}
