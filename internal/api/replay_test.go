package api

import (
	"crypto/rand"
	"net/http"
	"strings"
	"sync"
	"testing"

	"sparekey/access"
	"sparekey/internal/api/client"
)

// keyed asks with a key of the test's choice.
func (r *rig) keyed(user, key string, body client.AskBody) got {
	r.Helper()
	return r.read(r.as(user).Ask(r.Context(), &client.AskParams{IdempotencyKey: key}, body))
}

func TestARequestThatIsRepeatedIsMadeOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key, body := rand.Text(), wish(30, "payments-prod PowerUser", "play ReadOnly")
	first := r.keyed("dana", key, body)
	if first.status != http.StatusOK {
		t.Fatalf("%d %s", first.status, first.text)
	}
	before := r.dump()
	for range 3 {
		if again := r.keyed("dana", key, body); again.status != first.status || again.text != first.text {
			t.Errorf("again: %d %s\nfirst: %s", again.status, again.text, first.text)
		}
	}
	// The same wish in other words: the id instead of the name, the ARN instead of the name, other blanks.
	power, _ := r.mirror.PermissionSet("PowerUser")
	other := `{ "minutes": 30, "reason":"INC-4711", "targets":[ {"permissionSet":"` + power.ARN + `","account":"100000000002"}, {"permissionSet":"ReadOnly","account":"play"} ] }`
	if again := r.raw("dana", http.MethodPost, "/v1/requests", other, "Idempotency-Key", key); again.text != first.text {
		t.Errorf("in other words: %d %s", again.status, again.text)
	}
	r.unchanged(before)
	r.work()
	writes := r.writes()
	r.keyed("dana", key, body)
	r.work()
	if n := r.writes(); n != writes || n != 1 {
		t.Errorf("%d changes in AWS, then %d", writes, n)
	}
}

func TestAKeyStandsForOneWishOfOnePerson(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := rand.Text()
	mine := r.keyed("dana", key, wish(30, "play ReadOnly"))
	before, n := r.dump(), len(r.refusals(0))
	why := "another reason"
	reasoned := wish(30, "play ReadOnly")
	reasoned.Reason = &why
	for i, body := range []client.AskBody{wish(31, "play ReadOnly"), wish(30, "play PowerUser"), wish(30, "play ReadOnly", "play PowerUser"), reasoned} {
		g := r.keyed("dana", key, body)
		if p := g.problem(t); g.status != http.StatusConflict || p.Hint == nil {
			t.Errorf("another wish: %d %s", g.status, g.text)
		}
		r.recorded(n+i, "dana", "ask", access.ErrOver.Error(), "this idempotency key")
	}
	r.unchanged(before)
	theirs := r.keyed("lena", key, wish(31, "play ReadOnly"))
	if theirs.status != http.StatusOK || theirs.text == mine.text || !strings.Contains(theirs.text, `"user":"lena"`) {
		t.Errorf("lena with dana's key: %d %s", theirs.status, theirs.text)
	}
}

func TestARefusedRequestDoesNotUseItsKeyUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := rand.Text()
	if g := r.keyed("dana", key, wish(481, "play ReadOnly")); g.status != http.StatusForbidden {
		t.Fatalf("%d %s", g.status, g.text)
	}
	if g := r.keyed("dana", key, wish(480, "play ReadOnly")); g.status != http.StatusOK {
		t.Errorf("%d %s", g.status, g.text)
	}
}

func TestTwentyAtOnceMakeOneRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key, body := rand.Text(), wish(30, "play ReadOnly")
	answers := at20(func() got { return r.keyed("dana", key, body) })
	ids := map[string]bool{}
	for _, g := range answers {
		if g.status != http.StatusOK {
			t.Errorf("%d %s", g.status, g.text)
		}
		ids[g.text] = true
	}
	if len(ids) != 1 {
		t.Errorf("%d answers: %v", len(ids), ids)
	}
	r.work()
	if n := r.writes(); n != 1 {
		t.Errorf("%d changes in AWS", n)
	}
}

// at20 does something twenty times at once.
func at20(do func() got) []got {
	answers := make([]got, 20)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = do() })
	}
	all.Wait()
	return answers
}

func TestTwentyApprovalsAtOnceAreOne(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.ask("dana").Id
	good := 0
	for _, g := range at20(func() got { return r.read(r.as("kim").Approve(r.Context(), id, client.ApproveBody{})) }) {
		switch g.status {
		case http.StatusOK:
			good++
		case http.StatusConflict:
		default:
			t.Errorf("%d %s", g.status, g.text)
		}
	}
	answer, err := r.as("dana").ListGrants(t.Context(), &client.ListGrantsParams{})
	list := ok[client.GrantsOutputBody](r, answer, err)
	r.work()
	if good != 1 || len(list.Grants) != 1 || r.writes() != 1 {
		t.Errorf("%d were told yes; %d grants, %d changes in AWS", good, len(list.Grants), r.writes())
	}
}

func TestADecisionThatIsRepeatedChangesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		do    func(r *rig, id string) (*http.Response, error)
		state client.LineState
	}{
		{"approve", func(r *rig, id string) (*http.Response, error) {
			return r.as("kim").Approve(r.Context(), id, client.ApproveBody{})
		}, client.LineStateApproved},
		{"reject", func(r *rig, id string) (*http.Response, error) {
			return r.as("kim").Reject(r.Context(), id, client.CommentBody{})
		}, client.LineStateRejected},
		{"withdraw", func(r *rig, id string) (*http.Response, error) {
			return r.as("dana").Withdraw(r.Context(), id, client.CommentBody{})
		}, client.LineStateWithdrawn},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			id := r.ask("dana").Id
			answer, err := c.do(r, id)
			if q := ok[client.Request](r, answer, err); q.Lines[0].State != c.state {
				t.Fatalf("it is %s", q.Lines[0].State)
			}
			r.work()
			before := r.dump()
			for range 2 {
				if g := r.read(c.do(r, id)); g.status != http.StatusConflict || !strings.Contains(g.problem(t).Detail, "nothing of "+id+" waits") {
					t.Errorf("again: %d %s", g.status, g.text)
				}
			}
			r.work()
			r.unchanged(before)
		})
	}
}

func TestOneOfTwoApprovalsDoesNotCountTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	answer, err := r.asking("dana", 240, "payments-prod PowerUser")
	id := ok[client.Request](r, answer, err).Id
	answer, err = r.as("kim").Approve(t.Context(), id, client.ApproveBody{})
	if l := ok[client.Request](r, answer, err).Lines[0]; l.State != client.LineStatePending || len(l.Approvals) != 1 || l.Needed != 2 {
		t.Fatalf("once: %+v", l)
	}
	before := r.dump()
	g := r.read(r.as("kim").Approve(t.Context(), id, client.ApproveBody{}))
	if p := g.problem(t); g.status != http.StatusForbidden || !strings.Contains(p.Detail, "kim approved it already") {
		t.Errorf("twice: %d %s", g.status, g.text)
	}
	r.unchanged(before)
	answer, err = r.as("ren").Approve(t.Context(), id, client.ApproveBody{})
	if l := ok[client.Request](r, answer, err).Lines[0]; l.State != client.LineStateApproved {
		t.Errorf("by two: %+v", l)
	}
}

func TestAnEndThatIsRepeatedChangesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.approved("dana").Id
	r.work()
	end := func() got { return r.read(r.as("dana").End(t.Context(), id, client.CommentBody{})) }
	first := end()
	before := r.dump()
	for range 2 {
		if g := end(); g.status != http.StatusOK || g.text != first.text {
			t.Errorf("while it is being ended: %d %s\nfirst: %s", g.status, g.text, first.text)
		}
	}
	r.unchanged(before)
	r.work()
	before = r.dump()
	if g := end(); g.status != http.StatusConflict || !strings.Contains(g.problem(t).Detail, "is over: ended since") {
		t.Errorf("after the end: %d %s", g.status, g.text)
	}
	r.work()
	r.unchanged(before)
	if n := r.writes(); n != 2 { // one to give, one to take away
		t.Errorf("%d changes in AWS", n)
	}
}
