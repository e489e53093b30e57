package api

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"sparekey/audit"
	"sparekey/internal/api/client"
	"sparekey/internal/sandbox"
	"sparekey/org"
)

// await asks for a request's next revision in the background, and returns when the question has arrived.
func (r *rig) await(ctx context.Context, user string, q client.Request, seconds int64) <-chan got {
	r.Helper()
	for len(r.came) > 0 {
		<-r.came
	}
	answers := make(chan got, 1)
	go func() {
		answer, err := r.as(user).GetRequest(ctx, q.Id, &client.GetRequestParams{After: &q.Revision, Wait: &seconds})
		if err != nil {
			answers <- got{text: err.Error()}
			return
		}
		answers <- r.read(answer, nil)
	}()
	for path := range r.came {
		if strings.HasSuffix(path, q.Id) {
			break
		}
	}
	return answers
}

// TestAWaiterHearsOfEveryChange would take a second for each change if nobody were told.
func TestAWaiterHearsOfEveryChange(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	answer, err := r.asking("dana", 240, "payments-prod PowerUser", "shop-prod PowerUser")
	q := ok[client.Request](r, answer, err)
	begun := time.Now()
	for i, change := range []func(){
		func() { r.raw("kim", http.MethodPost, "/v1/requests/"+q.Id+"/approve", "{}") },
		func() { r.raw("ren", http.MethodPost, "/v1/requests/"+q.Id+"/approve", "{}") },
		r.work,
		func() { r.raw("dana", http.MethodPost, "/v1/grants/"+q.Lines[0].Grant.Id+"/end", "{}") },
	} {
		next := r.await(t.Context(), "dana", q, 25)
		change()
		if g := <-next; g.status != http.StatusOK || strings.Contains(g.text, `"revision":"`+q.Revision+`"`) {
			t.Errorf("change %d: %d %s", i, g.status, g.text)
		}
		answer, err := r.as("dana").GetRequest(t.Context(), q.Id, &client.GetRequestParams{})
		q = ok[client.Request](r, answer, err)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("four changes took %s to be heard of", took)
	}
}

func TestAWaiterIsAnsweredAtOnceWhenItIsBehind(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	q := r.ask("dana")
	q.Revision = "an old one"
	g := <-r.await(t.Context(), "dana", q, 25)
	if g.status != http.StatusOK || strings.Contains(g.text, q.Revision) {
		t.Errorf("%d %s", g.status, g.text)
	}
}

func TestAWaiterIsAnsweredTheSameAfterItsTime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	q := r.ask("dana")
	begun := time.Now()
	g := <-r.await(t.Context(), "dana", q, 1)
	if took := time.Since(begun); g.status != http.StatusOK || !strings.Contains(g.text, `"revision":"`+q.Revision+`"`) || took < time.Second {
		t.Errorf("after %s: %d %s", took, g.status, g.text)
	}
	begun = time.Now()
	if g := <-r.await(t.Context(), "dana", q, 0); !strings.Contains(g.text, q.Revision) {
		t.Errorf("without waiting: %d %s after %s", g.status, g.text, time.Since(begun))
	}
}

func TestAWaiterWhoGoesAwayIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	q := r.ask("dana")
	for len(r.done) > 0 {
		<-r.done
	}
	ctx, leave := context.WithCancel(t.Context())
	answers := r.await(ctx, "dana", q, 25)
	leave()
	<-answers
	select {
	case <-r.done:
	case <-time.After(10 * time.Second):
		t.Error("the handler is still there")
	}
}

func TestAWaiterWhoIsDisabledMeanwhileIsToldNothingMore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	q := r.ask("dana")
	answers := r.await(t.Context(), "dana", q, 25)
	dana, _ := r.mirror.PersonNamed("dana")
	r.must(r.box.Change(func(d *sandbox.Directory) error { return d.SetStatus(dana.ID, org.StatusDisabled) }))
	r.must(r.broker.LetGo(audit.By(t.Context(), "test")))
	if g := <-answers; g.status != http.StatusForbidden {
		t.Errorf("%d %s", g.status, g.text)
	}
	answer, err := r.as("amy").GetRequest(t.Context(), q.Id, &client.GetRequestParams{})
	if l := ok[client.Request](r, answer, err).Lines[0]; l.State != client.LineStateWithdrawn || l.Decided.By != "directory" || *l.Decided.Comment != "dana is disabled in the directory" {
		t.Errorf("the request became %+v by %+v", l, l.Decided)
	}
}
