package api

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
	"sparekey/org"
)

// ask is a body that would make a request, if whoever sends it may.
const askBody = `{"targets":[{"account":"play","permissionSet":"ReadOnly"}],"minutes":30}`

func TestWhoProvesNothingIsTurnedAwayAndCounted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	before, refusals := r.dump(), len(r.refusals(0))
	dana := r.tokens["dana"]
	unproven := map[string][]string{
		"no token": nil,
		"the Authorization header is not a bearer token": {
			"Basic " + dana, dana, "Bearer", "Bearer ", "bearer" + dana, "Bearer " + strings.Repeat("x", maxToken+1), "Bearer " + dana + "\nBearer " + dana,
			"Bearer " + dana + "\nBasic eA==", "Digest Bearer " + dana, "",
		},
		"unknown token": {
			"Bearer x", "Bearer  " + dana, "Bearer " + dana + ".", "Bearer " + dana[:len(dana)-1], "Bearer " + strings.ToUpper(dana), "Bearer " + dana + "," + dana,
			"Bearer \u00e9", "Bearer spk_" + rand.Text(),
		},
	}
	sent := map[string]int{}
	for reason, values := range unproven {
		if values == nil {
			r.turnedAway(reason, r.raw("", http.MethodPost, "/v1/requests", askBody, "Idempotency-Key", rand.Text()))
			sent[reason]++
		}
		for _, value := range values {
			r.turnedAway(reason, r.raw("", http.MethodPost, "/v1/requests", askBody, "Idempotency-Key", rand.Text(), "Authorization", value))
			sent[reason]++
		}
	}
	if n := len(r.refusals(refusals)); n != 0 {
		t.Errorf("%d events within the minute", n)
	}
	r.clock.Advance(time.Minute)
	r.turnedAway("no token", r.raw("", http.MethodGet, "/v1/me", "")) // the minute is over with the next one
	sent["no token"]++
	r.summed(r.refusals(refusals), sent)
	r.unchanged(before)
}

func (r *rig) turnedAway(reason string, g got) {
	r.Helper()
	if p := g.problem(r); g.status != http.StatusUnauthorized || p.Detail != reason || p.Hint == nil || g.header.Get("WWW-Authenticate") != `Bearer realm="sparekey"` {
		r.Errorf("%d %s with %v, want %q", g.status, g.text, g.header, reason)
	}
}

// summed looks for one event that counts what was sent, and says nothing else of it.
func (r *rig) summed(events []store.Record, sent map[string]int) {
	r.Helper()
	if len(events) != 1 {
		r.Fatalf("%d events: %v", len(events), events)
	}
	e := events[0]
	if e.Kind != "api.refused" || e.Actor != (audit.Actor{Kind: audit.Anonymous}) || e.Request != "" || fmt.Sprint(e.Detail) != fmt.Sprint(text(sent)) {
		r.Errorf("recorded: %s, want %v", e.Text, sent)
	}
}

func text(counts map[string]int) map[string]string {
	words := map[string]string{}
	for reason, n := range counts {
		words[reason] = fmt.Sprint(n)
	}
	return words
}

func TestAFloodOfStrangersIsOneEventAMinute(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	n := len(r.refusals(0))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 25 {
				r.turnedAway("no token", r.raw("", http.MethodGet, "/v1/me", ""))
			}
		})
	}
	all.Wait()
	r.broker.RecordUnproven(t.Context()) // as the minute's job does, and the end of the program
	r.broker.RecordUnproven(t.Context())
	r.summed(r.refusals(n), map[string]int{"no token": 200})
}

func TestAPersonWhoIsGoneIsRefusedByName(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	rita, _ := r.mirror.PersonNamed("rita")
	r.must(r.box.Change(func(d *sandbox.Directory) error { return d.SetStatus(rita.ID, org.StatusRemoved) }))
	r.must(r.broker.Refresh(audit.By(t.Context(), "test")))
	r.ask("dana")
	before := r.dump()
	for user, why := range map[string]string{"dino": "dino is disabled in the directory", "rita": "the directory does not know the person ", "ghost": "the directory does not know the person "} {
		for _, s := range r.contract.samples(t) {
			n := len(r.refusals(0))
			g := r.raw(user, s.method, s.path, s.json(t), s.headers...)
			if p := g.problem(t); g.status != http.StatusForbidden || !strings.HasPrefix(p.Detail, why) {
				t.Errorf("%s to %s: %d %+v", s.op.ID, user, g.status, p)
			}
			r.recorded(n, user, commands[s.op.ID], access.ErrRefused.Error(), why)
		}
	}
	r.unchanged(before)
}

// commands are the names under which operations are recorded.
var commands = map[string]string{
	"me": "me", "status": "status", "listAccess": "list", "why": "why", "ask": "ask", "listRequests": "requests", "getRequest": "read", "approve": "approve", "reject": "reject",
	"withdraw": "withdraw", "listApprovals": "approvals", "listGrants": "grants", "end": "end", "kill": "kill", "listKills": "kills", "checkKills": "check kills", "listAnchors": "anchors", "anchor": "anchor", "anchorAll": "anchor",
	"listReviews": "reviews", "getReview": "read", "conclude": "review", "listAbsences": "absences", "away": "away", "back": "back", "endAbsence": "end an absence", "listFavourites": "favourites",
	"favour": "favourite", "disfavour": "forget a favourite", "vend": "credentials", "listGroups": "groups", "prepareGroup": "prepare a group",
	"listRules": "rules", "diffRules": "diff rules", "proposeRules": "propose rules", "getRules": "show rules", "agreeRules": "agree rules", "rejectRules": "reject rules",
	"activateRules": "activate rules", "estimateStop": "estimate a stop", "stop": "stop", "listStops": "stops", "liftStop": "lift a stop", "releaseRecovery": "release a recovery", "drift": "drift",
}

// recorded looks for the one event of a refusal since the first n: who, with what, which command, and why.
func (r *rig) recorded(n int, user, command, kind, why string) {
	r.Helper()
	events := r.refusals(n)
	if len(events) != 1 {
		r.Errorf("%d events of %s's %s", len(events), user, command)
		return
	}
	e := events[0]
	if e.Actor.Kind != audit.APerson || e.Actor.ID != r.id(user) || len(e.Actor.Key) != 8 || !strings.HasPrefix(e.Request, "sha256:") || len(e.Request) != 71 ||
		e.Detail["command"] != command || e.Detail["kind"] != kind || !strings.HasPrefix(e.Detail["why"], why) || e.Before != nil || e.After != nil {
		r.Errorf("%s's %s was recorded as %s", user, command, e.Text)
	}
}

// id is a person's immutable id.
func (r *rig) id(user string) string {
	if p, ok := r.mirror.PersonNamed(user); ok {
		return string(p.ID)
	}
	return "00000000-0000-0000-0000-000000000000" // the ghost
}

func TestTheDoorSpeaksBeforeTheBodyIsRead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.turnedAway("unknown token", r.raw("", http.MethodPost, "/v1/requests", strings.Repeat("x", maxBody*2), "Authorization", "Bearer x"))
}
