package broker_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
	"sparekey/rules"
)

var (
	longer   = strings.Replace(rig.Book, "for: 4h", "for: 5h", 1)
	shorter  = strings.Replace(rig.Book, "for: 4h", "for: 3h", 1)
	reworded = "# other words\n" + rig.Book
)

// longest is for how long dana may have something in production: what a broker's rules say at this moment.
func longest(t *testing.T, b *broker.Broker, ctx context.Context) string {
	t.Helper()
	offers, _, err := b.Offers(ctx, broker.OfferFilter{Account: "payments-prod", PermissionSet: "PowerUser", Limit: 10})
	if err != nil || len(offers) != 1 {
		t.Fatalf("%d offers, %v", len(offers), err)
	}
	return rules.Short(offers[0].Ways[0].Longest)
}

// propose proposes rules, a second after what was before.
func propose(t *testing.T, r *rig.Rig, user, text string) rules.Proposal {
	t.Helper()
	r.Clock.Advance(time.Second)
	p, err := r.Broker.ProposeRules(r.As(user), rig.Files(text), "")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// knows is ticket services, of which one is configured.
type knows struct{ broker.Tickets }

func (knows) Known(service string) bool { return service == "jira" }

func TestRulesThatNameWhatTheConfigurationLacksAreRefused(t *testing.T) {
	r := rig.New(t, "sqlite:"+filepath.Join(t.TempDir(), "s.db"), sandbox.Behaviour{})
	checked := func(service string) string {
		return strings.Replace(rig.Book, "for: 4h\n", "for: 4h\n    with: {ticket: {pattern: 'INC-[0-9]+', check: "+service+"}}\n", 1)
	}
	onCall := strings.Replace(rig.Book, "approval: {need: 1,", "approval: {on-call: {schedule: payments}, need: 1,", 1)
	r.Broker.Tickets = knows{}
	for text, want := range map[string]string{
		checked("snow"): `a rule has tickets checked by "snow", which is not among lookup.tickets`, onCall: `a rule asks who is on call in "payments", which is not among lookup.schedules`,
	} {
		before := r.Head()
		_, err := r.Broker.ProposeRules(r.As("amy"), rig.Files(text), "")
		if _, err2 := r.Broker.DiffRules(r.As("amy"), rig.Files(text)); !errors.Is(err, access.ErrInvalid) || !strings.Contains(err.Error(), want) || !errors.Is(err2, access.ErrInvalid) {
			t.Errorf("%v, %v", err, err2)
		}
		for _, e := range r.Events(before) {
			if e.Kind != "rules.refused" {
				t.Errorf("%+v", e)
			}
		}
	}
	if p := propose(t, r, "amy", checked("jira")); p.State != rules.StateInForce {
		t.Errorf("it only asks for more: %+v", p)
	}
	wider := propose(t, r, "amy", strings.Replace(checked("jira"), "for: 8h", "for: 9h", 1))
	r.Broker.Tickets = nil // the next start finds another configuration
	if _, err := r.Broker.AgreeRules(r.As("lee"), wider.Digest); wider.State != rules.StateProposed || !errors.Is(err, access.ErrInvalid) {
		t.Errorf("%+v, %v", wider, err)
	}
	if shown, err := r.Broker.RulesOf(r.As("amy"), wider.Digest); err != nil || len(shown.Files) != 1 {
		t.Errorf("what is refused can be read all the same: %v", err)
	}
	if err := r.Broker.Begin(r.As("sparekey"), rig.Files(rig.Book), nil); err == nil || !strings.Contains(err.Error(), `"jira"`) {
		t.Errorf("%v", err)
	}
}

// Requirement partly S2-36.
func TestWiderRulesTakeTwoAdministratorsAndNarrowerOnesOne(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		before := r.Head()
		p := propose(t, r, "amy", longer)
		if p.State != rules.StateProposed || !p.Widens || p.Totals.Wider == 0 || longest(t, r.Broker, r.As("dana")) != "4h" {
			t.Fatalf("%+v", p)
		}
		if again := propose(t, r, "amy", longer); again.ID != p.ID {
			t.Errorf("the same twice: %+v", again)
		}
		_, err := r.Broker.ProposeRules(r.As("lee"), rig.Files(longer), "")
		refusedWith(t, err, access.ErrOver, "amy has proposed the same rules")
		_, err = r.Broker.AgreeRules(r.As("amy"), p.Digest)
		refusedWith(t, err, access.ErrRefused, "nobody agrees to what they proposed themselves")
		for _, user := range []string{"dana", "ana", "kim"} {
			_, err = r.Broker.AgreeRules(r.As(user), p.Digest)
			refusedWith(t, err, access.ErrRefused, user+" is no administrator")
		}
		if p, err = r.Broker.AgreeRules(r.As("lee"), p.Digest); err != nil || p.State != rules.StateInForce || p.By.Name != "amy" || p.ActivatedBy.Name != "lee" {
			t.Fatalf("%+v, %v", p, err)
		}
		if got := longest(t, r.Broker, r.As("dana")); got != "5h" {
			t.Errorf("after it %s", got)
		}
		head := r.Head()
		if again, err := r.Broker.AgreeRules(r.As("lee"), p.Digest); err != nil || again.ID != p.ID || r.Head() != head {
			t.Errorf("said twice: %+v, %v", again, err)
		}
		if again := propose(t, r, "amy", longer); again.ID != p.ID || r.Head() != head {
			t.Errorf("proposed though it is in force: %+v", again)
		}
		if p := propose(t, r, "amy", shorter); p.State != rules.StateInForce || longest(t, r.Broker, r.As("dana")) != "3h" {
			t.Errorf("nobody gains by it: %+v", p)
		}
		want := []string{"rules.proposed", "rules.refused", "rules.refused", "rules.refused", "rules.refused", "rules.refused", "rules.replaced", "rules.activated", "rules.proposed", "rules.replaced", "rules.activated"}
		if got := kindsOf(r.Events(before)); !slices.Equal(got, want) {
			t.Errorf("events\n%v\nwant\n%v", got, want)
		}
		books, err := r.Broker.Rules(r.As("ana"), 10)
		if err != nil || books.InForce.By.Name != "amy" || len(books.Before) != 3 || len(books.Proposed) != 0 || books.Before[2].By.ID != "test" {
			t.Errorf("%+v, %v", books, err)
		}
	})
}

func TestAProposalEndsWhenOtherRulesComeInForce(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		p := propose(t, r, "amy", longer)
		if q := propose(t, r, "lee", reworded); q.State != rules.StateInForce {
			t.Fatalf("%+v", q)
		}
		// The words are others, what they say is not: the comparison still holds.
		if books, err := r.Broker.Rules(r.As("amy"), 1); err != nil || len(books.Proposed) != 1 {
			t.Fatalf("%+v, %v", books, err)
		}
		propose(t, r, "lee", shorter)
		_, err := r.Broker.AgreeRules(r.As("lee"), p.Digest)
		refusedWith(t, err, access.ErrUnknown, "no open proposal")
		if s, err := r.Broker.RulesOf(r.As("amy"), p.Digest); err != nil || s.State != rules.StateSuperseded || !s.Difference.Effect.Widens() || string(s.Files[0].Text) != longer {
			t.Errorf("%+v, %v", s, err)
		}
		_, err = r.Broker.ProposeRules(r.As("amy"), rig.Files(longer), p.Base)
		refusedWith(t, err, access.ErrOver, "other rules have come in force since")
	})
}

func TestGoingBackIsAChangeLikeAnyOther(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		first, err := rules.FilesDigest(rig.Files(rig.Book))
		if err != nil {
			t.Fatal(err)
		}
		narrow := propose(t, r, "amy", shorter)
		back, err := r.Broker.ActivateAgain(r.As("amy"), first)
		if err != nil || back.State != rules.StateProposed || !back.Again || longest(t, r.Broker, r.As("dana")) != "3h" {
			t.Fatalf("%+v, %v", back, err)
		}
		if _, err := r.Broker.AgreeRules(r.As("lee"), first); err != nil || longest(t, r.Broker, r.As("dana")) != "4h" {
			t.Fatal(err)
		}
		if back, err := r.Broker.ActivateAgain(r.As("lee"), narrow.Digest); err != nil || back.State != rules.StateInForce || longest(t, r.Broker, r.As("dana")) != "3h" {
			t.Errorf("%+v, %v", back, err)
		}
		head := r.Head()
		if again, err := r.Broker.ActivateAgain(r.As("lee"), narrow.Digest); err != nil || again.State != rules.StateInForce || again.Digest != narrow.Digest || r.Head() != head {
			t.Errorf("said twice: %+v, %v", again, err)
		}
		never, err := rules.FilesDigest(rig.Files(longer))
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Broker.ActivateAgain(r.As("lee"), never)
		refusedWith(t, err, access.ErrUnknown, "were ever in force")
	})
}

func TestARejectedProposalIsOver(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		p := propose(t, r, "amy", longer)
		if p, err := r.Broker.RejectRules(r.As("amy"), p.Digest, "too long"); err != nil || p.State != rules.StateRejected || p.Why != "too long" {
			t.Fatalf("%+v, %v", p, err)
		}
		_, err := r.Broker.AgreeRules(r.As("lee"), p.Digest)
		refusedWith(t, err, access.ErrUnknown, "no open proposal")
		if q := propose(t, r, "lee", longer); q.State != rules.StateProposed || q.ID == p.ID {
			t.Errorf("anew: %+v", q)
		}
	})
}

// TestTwoAdministratorsAtOnce lets many agree and reject at the same moment: exactly one of them has the last word.
func TestTwoAdministratorsAtOnce(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		p := propose(t, r, "amy", longer)
		var all sync.WaitGroup
		done := make(chan rules.State, 8)
		for i := range 8 {
			all.Go(func() {
				var q rules.Proposal
				var err error
				if i%2 == 0 {
					q, err = r.Broker.AgreeRules(r.As("lee"), p.Digest)
				} else {
					q, err = r.Broker.RejectRules(r.As("lee"), p.Digest, "")
				}
				if err == nil {
					done <- q.State
				}
			})
		}
		all.Wait()
		last := <-done
		for len(done) > 0 { // who agreed may say so twice
			if other := <-done; other != last || last != rules.StateInForce {
				t.Fatalf("%s and %s", last, other)
			}
		}
		want := map[rules.State]string{rules.StateInForce: "5h", rules.StateRejected: "4h"}[last]
		if got := longest(t, r.Broker, r.As("dana")); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// another is a broker of another replica: the same store, nothing else in common.
func another(t *testing.T, r *rig.Rig, log *rig.Log) *broker.Broker {
	t.Helper()
	b, err := broker.New(broker.Parts{
		Store: r.Store, Directory: deaf{}, Now: r.Clock.Now, Random: rand.Reader, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReplicasFollowTheRulesInForce(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		log := &rig.Log{}
		other := another(t, r, log)
		if err := other.Begin(r.As("sparekey"), rig.Files(shorter), nil); err != nil {
			t.Fatal(err)
		}
		if got := longest(t, other, r.As("dana")); got != "4h" {
			t.Errorf("the folder says 3h, the database 4h, and in force is %s", got)
		}
		s, err := other.Status(r.As("dana"))
		if err != nil || !s.FolderDiffers || !strings.Contains(log.String(), "the folder of rules is not what is in force") {
			t.Errorf("%+v, %v\n%s", s, err, log)
		}
		if p := propose(t, r, "amy", shorter); p.State != rules.StateInForce {
			t.Fatal(p)
		}
		if err := other.Follow(t.Context()); err != nil || longest(t, other, r.As("dana")) != "3h" {
			t.Error(err)
		}
		if s, err := other.Status(r.As("dana")); err != nil || s.FolderDiffers {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

func TestTheFolderCountsOnlyWhenThereNeverWereRules(t *testing.T) {
	for name, address := range rig.Engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := store.Open(t.Context(), address(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			log := &rig.Log{}
			begin := func(files []rules.File, unread error) error {
				b, err := broker.New(broker.Parts{Store: s, Directory: deaf{}, Now: time.Now, Random: rand.Reader, Log: slog.New(slog.NewTextHandler(log, nil))})
				if err != nil {
					t.Fatal(err)
				}
				return b.Begin(audit.By(t.Context(), "start"), files, unread)
			}
			unread := errors.New("there is no folder")
			if err := begin(nil, unread); !errors.Is(err, unread) {
				t.Errorf("no rules anywhere: %v", err)
			}
			if err := begin(rig.Files("rules: [{nam: x}]"), nil); err == nil || !strings.Contains(err.Error(), "rules.yaml:1:10") {
				t.Errorf("rules that are not right: %v", err)
			}
			for range 2 { // the second start finds what the first has put in force
				if err := begin(rig.Files(rig.Book), nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := begin(nil, unread); err != nil || !strings.Contains(log.String(), "the folder of rules cannot be read") {
				t.Errorf("%v\n%s", err, log)
			}
			var books []rules.Proposal
			if err := s.View(t.Context(), func(tx *store.Tx) (err error) { books, err = tx.ActivatedBooks(10); return err }); err != nil || len(books) != 1 || books[0].By.ID != "start" {
				t.Errorf("%+v, %v", books, err)
			}
		})
	}
}

func TestRulesThatTheConfigurationForbidsByNowAreNotTakenOver(t *testing.T) {
	r := rig.New(t, "sqlite:"+filepath.Join(t.TempDir(), "s.db"), sandbox.Behaviour{})
	b, err := broker.New(broker.Parts{Store: r.Store, Directory: deaf{}, Now: r.Clock.Now, Random: rand.Reader, Log: slog.New(slog.NewTextHandler(r.Log, nil)), Longest: 2 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Begin(r.As("sparekey"), nil, nil); err == nil || !strings.Contains(err.Error(), "the configuration allows at most 2h") {
		t.Error(err)
	}
	if s, err := b.Status(r.As("dana")); err != nil || s.Ready {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestRulesThatWereChangedInTheDatabaseAreNotTakenOver has somebody write to the database past Sparekey.
func TestRulesThatWereChangedInTheDatabaseAreNotTakenOver(t *testing.T) {
	r := rig.New(t, rig.Engines["SQLite"](t), sandbox.Behaviour{})
	if p := propose(t, r, "amy", shorter); p.State != rules.StateInForce {
		t.Fatal(p)
	}
	done, err := r.Store.SQLite().ExecContext(t.Context(), "UPDATE books SET files = (SELECT files FROM books WHERE state = 'replaced') WHERE state = 'in-force'")
	if n, _ := done.RowsAffected(); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	other := another(t, r, &rig.Log{})
	if err := other.Begin(r.As("sparekey"), rig.Files(shorter), nil); err == nil || !strings.Contains(err.Error(), "somebody has written to the database past Sparekey") {
		t.Errorf("%v", err)
	}
}
