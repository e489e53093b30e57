package api

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/api/client"
)

func TestEveryCommandIsRecordedWithWhoSentWhat(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	prod := `{"targets":[{"account":"payments-prod","permissionSet":"PowerUser"}],"minutes":30,"reason":"INC-1"}`
	r.sends("dana", "/v1/requests", askBody, "request.asked")
	r.sends("dana", "/v1/requests", prod, "request.asked")
	r.sends("dana", "/v1/requests/"+r.ask("dana").Id+"/withdraw", `{"comment":"no more"}`, "request.withdrawn")
	r.sends("kim", "/v1/requests/"+r.ask("dana").Id+"/reject", `{}`, "request.rejected")
	id := r.ask("dana").Id
	r.sends("kim", "/v1/requests/"+id+"/approve", `{"comment":"yes"}`, "request.approved")
	answer, err := r.as("dana").GetRequest(t.Context(), id, &client.GetRequestParams{})
	g := ok[client.Request](r, answer, err).Lines[0].Grant
	r.work()
	r.sends("amy", "/v1/grants/"+g.Id+"/end", `{"comment":"enough"}`, "grant.ending")
	r.sends("amy", "/v1/stops", `{"rule":"prod","comment":"enough"}`, "stop.made")
	r.sends("amy", "/v1/stops/"+r.stopped()+"/lift", `{"comment":"go on"}`, "stop.lifted")
	r.recovering()
	r.sends("amy", "/v1/recovery/release", `{"comment":"looked at AWS"}`, "recovery.agreed")
	r.broker.KillPolicy.Policy = &keptPolicy{text: access.EmptyKillPolicy()}
	r.sends("amy", "/v1/grants/"+g.Id+"/kill", `{"comment":"stolen"}`, "kill.wanted")
}

func TestEveryDutyIsRecordedWithWhoSentWhat(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	fine, wrong := reviewOfGrant(r.used("dana", reviewed)), reviewOfGrant(r.used("lena", reviewed))
	r.sends("kim", "/v1/reviews/"+fine+"/conclude", `{"wrong":false}`, "review.fine")
	r.sends("ren", "/v1/reviews/"+wrong+"/conclude", `{"wrong":true,"comment":"no"}`, "review.wrong")
	r.sends("kim", "/v1/me/away", `{"until":"`+r.clock.Now().Add(time.Hour).Format(time.RFC3339)+`","delegate":"lena"}`, "person.away")
	r.sends("kim", "/v1/me/back", "", "person.back")
	r.away("kim", "lena")
	r.sends("amy", "/v1/absences/kim/end", "", "person.back")
	r.sends("dana", "/v1/favourites", `{"name":"prod","request":"`+r.ask("dana").Id+`"}`, "person.favoured")
	r.sends("dana", "/v1/favourites/prod/forget", "", "person.disfavoured")
	r.sends("dana", "/v1/grants/"+r.holding("dana", deployer).ID+"/credentials", `{}`, "grant.vended")
	r.sends("amy", "/v1/groups", `{"account":"play","permissionSet":"Admin"}`, "group.preparing")
	r.sends("amy", "/v1/anchors", `{"account":"play","permissionSet":"ReadOnly"}`, "anchor.preparing")
	r.sends("amy", "/v1/anchors/all", "", "anchor.preparing")
}

// sends sends a command and looks at the event that it made.
func (r *rig) sends(user, path, body, kind string) {
	r.Helper()
	before := len(r.events())
	g := r.raw(user, http.MethodPost, path, body, "Idempotency-Key", rand.Text())
	if g.status != http.StatusOK {
		r.Fatalf("%d %s", g.status, g.text)
	}
	digest := sha256.Sum256([]byte("POST\n" + path + "\n" + body))
	token := sha256.Sum256([]byte(r.tokens[user]))
	actor := audit.Actor{Kind: audit.APerson, ID: r.id(user), Name: user, Key: hex.EncodeToString(token[:4])}
	for _, e := range r.events()[before:] {
		if want := "sha256:" + hex.EncodeToString(digest[:]); e.Request != want {
			r.Errorf("%s was recorded with the request %s, want %s", e.Kind, e.Request, want)
		}
		if e.Kind == kind {
			if e.Actor != actor || e.After == nil && e.Subject.Kind != "person" || e.Subject.ID == "" {
				r.Errorf("recorded: %s", e.Text)
			}
			return
		}
	}
	r.Errorf("no event is %s", kind)
}

// FuzzWhateverIsSentIsAnsweredCalmly sends arbitrary bodies: each is either understood or a problem of the sender's, and
// what was not understood has changed nothing.
func FuzzWhateverIsSentIsAnsweredCalmly(f *testing.F) {
	for _, b := range badBodies() {
		if len(b.body) < 5000 {
			f.Add(b.body)
		}
	}
	f.Add(askBody)
	r := newRig(f)
	handler := r.server.Handler()
	f.Fuzz(func(t *testing.T, body string) {
		q := httptest.NewRequest(http.MethodPost, "/v1/requests", strings.NewReader(body))
		q.Header.Set("Authorization", "Bearer "+r.tokens["dana"])
		q.Header.Set("Idempotency-Key", aKey)
		q.Header.Set("Content-Type", "application/json")
		changes := r.changes(t)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, q)
		if w.Code >= 500 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w.Code != http.StatusOK && r.changes(t) != changes {
			t.Errorf("%d, and something changed", w.Code)
		}
		for _, wrong := range r.contract.judge(q.Method, q.URL.Path, w.Result(), w.Body.Bytes()) {
			t.Errorf("what openapi.json does not say: %s\n%s", wrong, w.Body)
		}
	})
}

// changes counts the rows of requests and grants and their versions.
func (r *rig) changes(t *testing.T) (n int) {
	t.Helper()
	const count = "SELECT (SELECT count(*) + coalesce(sum(version), 0) FROM requests) + (SELECT count(*) + coalesce(sum(version), 0) FROM grants)"
	if err := r.store.SQLite().QueryRowContext(t.Context(), count).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
