package broker_test

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"

	"sparekey/access"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
	"sparekey/org"
)

// kill reads a session kill from the store.
func kill(r *rig.Rig, id string) (k access.Kill) {
	r.Helper()
	if err := r.Store.View(r.Context(), func(tx *store.Tx) (err error) { k, err = tx.Kill(id); return err }); err != nil {
		r.Fatal(err)
	}
	return k
}

// send sends kills, and fails where that fails.
func send(r *rig.Rig) {
	r.Helper()
	if later, err := r.Broker.SendKills(r.Context()); err != nil || later != 0 {
		r.Fatal(later, err)
	}
}

func endAndKill(r *rig.Rig, user, grant string) access.Kill {
	r.Helper()
	_, killed, err := r.Broker.EndAndKill(r.As(user), grant, "stolen laptop")
	if err != nil || killed.Kill == nil || killed.WhyNot != "" {
		r.Fatalf("%+v %v", killed, err)
	}
	return *killed.Kill
}

func TestAKillIsSentBeforeTheRemovalAndTightenedAfterIt(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		r.Kills("Sandbox")
		send(r)
		id := r.Ask("dana", "play PowerUser").Lines[0].Grant
		r.Become(id, access.Active, time.Minute)
		before := r.Head()
		k := endAndKill(r, "dana", id)
		if g := r.Grant(id); g.State != access.Ending || k.State != access.KillWanted || len(k.Grants) != 1 {
			t.Errorf("%s %+v", g.State, k)
		}
		send(r)
		own := `"identitystore:userId":"` + string(r.Person("dana").ID) + `"},"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::100000000003:role/aws-reserved/sso.amazonaws.com/*AWSReservedSSO_PowerUser_*"}`
		if text := r.KillText(); !strings.Contains(text, own+"}}]}") || kill(r, k.ID).State != access.KillSent {
			t.Errorf("%s\n%+v", text, kill(r, k.ID))
		}
		g := r.Become(id, access.Ended, time.Minute)
		send(r)
		k = kill(r, k.ID)
		if k.State != access.KillTightened || k.Before.Before(g.EndedAt) || k.Before.Sub(g.EndedAt) >= time.Second {
			t.Errorf("removed %s, %+v", g.EndedAt, k)
		}
		if text := r.KillText(); !strings.Contains(text, own+`,"DateLessThan":{"aws:TokenIssueTime":"`+k.Before.Format(time.RFC3339)+`"}}}]}`) {
			t.Error(text)
		}
		calls := len(r.Box.Calls())
		send(r)
		if n := len(r.Box.Calls()); n != calls {
			t.Errorf("with nothing to say, AWS was asked %d times", n-calls)
		}
		r.Clock.Advance(k.ExpiresAt().Sub(r.Clock.Now()))
		send(r)
		if k = kill(r, k.ID); k.State != access.KillExpired || r.KillText() != access.EmptyKillPolicy() {
			t.Errorf("%+v %s", k, r.KillText())
		}
		var kinds []string
		for _, e := range r.Events(before) {
			if e.Subject.Kind == "kill" {
				kinds = append(kinds, e.Kind)
			}
		}
		if want := []string{"kill.wanted", "kill.sent", "kill.removed", "kill.tightened", "kill.expired"}; !slices.Equal(kinds, want) {
			t.Errorf("recorded: %v", kinds)
		}
	})
}

// TestWhateverBefallsAKillTheEndGoesOn lets AWS refuse, break and lose answers, in both ways.
func TestWhateverBefallsAKillTheEndGoesOn(t *testing.T) {
	for _, f := range []sandbox.Fault{
		{Operation: "DescribePolicy", Kind: sandbox.Denied}, {Operation: "UpdatePolicy", Kind: sandbox.Denied}, {Operation: "UpdatePolicy", Kind: sandbox.Conflict},
		{Operation: "UpdatePolicy", Kind: sandbox.ServerError}, {Operation: "UpdatePolicy", Kind: sandbox.ServerErrorAfter}, {Operation: "UpdatePolicy", Kind: sandbox.Drop},
		{Operation: "UpdatePolicy", Kind: sandbox.DropAfter}, {Operation: "UpdatePolicy", Kind: sandbox.Throttle},
	} {
		t.Run(string(f.Kind)+" of "+f.Operation, func(t *testing.T) {
			rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
				r.Kills("Sandbox")
				id := r.Ask("dana", "play PowerUser").Lines[0].Grant
				r.Become(id, access.Active, time.Minute)
				k := endAndKill(r, "amy", id)
				f.Times = 1
				if f.Operation == "DescribePolicy" {
					f.Times = 8 // it is tried again by the client
				}
				r.Box.Script(f)
				if _, err := r.Broker.SendKills(t.Context()); err != nil {
					t.Fatal(err)
				}
				k = kill(r, k.ID)
				if k.State != access.KillWanted || k.Trouble == "" || k.Tries != 1 || !strings.HasPrefix(k.Says(), "not sent: ") {
					t.Errorf("%+v", k)
				}
				r.Box.ClearFaults()
				calls := len(r.Box.Calls())
				send(r)
				if len(r.Box.Calls()) != calls {
					t.Error("it was tried again at once")
				}
				r.Become(id, access.Ended, time.Minute)
				r.Clock.Advance(5 * time.Second)
				send(r)
				if k = kill(r, k.ID); k.State != access.KillTightened || k.Trouble != "" {
					t.Errorf("%+v", k)
				}
				if p := access.RenderKills([]access.Kill{k}, access.KillSize, r.Clock.Now()); p.Text != r.KillText() {
					t.Errorf("%s\n%s", r.KillText(), p.Text)
				}
			})
		})
	}
}

// replica is a second broker on the same store and the same AWS.
func replica(r *rig.Rig) *broker.Broker {
	r.Helper()
	parts := r.Broker.Parts
	parts.Random, parts.Log = rand.Reader, slog.New(slog.DiscardHandler)
	b, err := broker.New(parts)
	if err != nil {
		r.Fatal(err)
	}
	return b
}

func TestReplicasSendKillsOneAtATime(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		r.Kills("Sandbox")
		other := replica(r)
		var kills []access.Kill
		for _, target := range []string{"play PowerUser", "play ReadOnly", "play-two ReadOnly"} {
			id := r.Ask("dana", target).Lines[0].Grant
			r.Become(id, access.Active, time.Minute)
			kills = append(kills, endAndKill(r, "dana", id))
		}
		if _, ok, err := r.Store.TakeLease(t.Context(), "session kills", "dead", r.Clock.Now(), r.Clock.Now().Add(30*time.Second)); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if later, err := r.Broker.SendKills(t.Context()); err != nil || later == 0 || kill(r, kills[0].ID).State != access.KillWanted {
			t.Errorf("it was sent although another is at it: %s %v", later, err)
		}
		r.Clock.Advance(31 * time.Second)
		var all sync.WaitGroup
		for _, b := range []*broker.Broker{r.Broker, other, r.Broker, other} {
			all.Go(func() {
				if _, err := b.SendKills(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		send(r)
		updates := 0
		for _, c := range r.Box.Calls() {
			if c.Operation == "UpdatePolicy" {
				updates++
			}
		}
		if updates != 1 {
			t.Errorf("the policy was written %d times", updates)
		}
		for _, k := range kills {
			if got := kill(r, k.ID); got.State == access.KillWanted || got.Tries != 0 {
				t.Errorf("%+v", got)
			}
		}
	})
}

func TestAPolicyThatIsSomebodyElsesIsNotWrittenTo(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		policy := r.Kills("Sandbox")
		write := func(content string) {
			if _, err := organizations.NewFromConfig(r.Connection).UpdatePolicy(t.Context(), &organizations.UpdatePolicyInput{PolicyId: &policy, Content: aws.String(content)}); err != nil {
				t.Fatal(err)
			}
		}
		const guardrail = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"organizations:LeaveOrganization","Resource":"*"}]}`
		write(guardrail)
		id := r.Ask("dana", "play PowerUser").Lines[0].Grant
		r.Become(id, access.Active, time.Minute)
		k := endAndKill(r, "dana", id)
		send(r)
		if k = kill(r, k.ID); k.State != access.KillWanted || !strings.Contains(k.Trouble, "is not one of session kills") || r.KillText() != guardrail {
			t.Errorf("%+v\n%s", k, r.KillText())
		}
		write(access.EmptyKillPolicy())
		r.Clock.Advance(5 * time.Second)
		send(r)
		sent := r.KillText()
		if k = kill(r, k.ID); k.State != access.KillSent {
			t.Errorf("%+v", k)
		}
		write(access.EmptyKillPolicy()) // somebody undoes it
		r.Clock.Advance(5 * time.Minute)
		send(r)
		if r.KillText() != sent {
			t.Errorf("what somebody changed stays: %s", r.KillText())
		}
	})
}

func TestWhoMayKillWhat(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		asked := r.Ask("dana", "payments-prod PowerUser")
		if _, err := r.Broker.Approve(r.As("kim"), asked.ID, "", 0); err != nil {
			t.Fatal(err)
		}
		id := asked.Lines[0].Grant
		r.Become(id, access.Active, time.Minute)
		_, killed, err := r.Broker.EndAndKill(r.As("amy"), r.Ask("dana", "play ReadOnly").Lines[0].Grant, "")
		if err != nil || killed.Kill != nil || !strings.Contains(killed.WhyNot, "not set up") {
			t.Errorf("%+v %v", killed, err)
		}
		r.Kills("Workloads")
		for user, kind := range map[string]error{"kim": access.ErrRefused, "eli": access.ErrUnknown, "ana": access.ErrRefused} {
			if _, _, err := r.Broker.EndAndKill(r.As(user), id, ""); !errors.Is(err, kind) {
				t.Errorf("%s: %v", user, err)
			}
		}
		if g := r.Grant(id); g.State != access.Active {
			t.Errorf("it is %s", g.State)
		}
		first := endAndKill(r, "amy", id)
		if again := endAndKill(r, "dana", id); again.ID != first.ID {
			t.Errorf("another kill of the same: %+v", again)
		}
		g := r.Become(id, access.Ended, time.Minute)
		send(r)
		// It is over, and a session can still live: whoever finds that out later has it killed as well. It is the same removal.
		later := endAndKill(r, "amy", id)
		send(r)
		if k := kill(r, later.ID); later.ID == first.ID || k.State != access.KillTightened || !k.Before.Equal(kill(r, first.ID).Before) {
			t.Errorf("%+v", k)
		}
		r.Clock.Advance(g.EndedAt.Add(2 * time.Hour).Sub(r.Clock.Now()))
		_, _, err = r.Broker.EndAndKill(r.As("amy"), id, "")
		refusedWith(t, err, access.ErrOver, "is over")
		if kills, _, err := r.Broker.Kills(r.As("ana"), broker.Page{}, 10); err != nil || len(kills) != 2 {
			t.Errorf("%+v %v", kills, err)
		}
		if kills, next, err := r.Broker.Kills(r.As("dana"), broker.Page{}, 1); err != nil || len(kills) != 1 || next.ID != later.ID {
			t.Errorf("%+v %v %v", kills, next, err)
		} else if kills, _, err = r.Broker.Kills(r.As("dana"), next, 1); err != nil || len(kills) != 1 || kills[0].ID != first.ID {
			t.Errorf("%+v %v", kills, err)
		}
		if kills, _, err := r.Broker.Kills(r.As("kim"), broker.Page{}, 10); err != nil || len(kills) != 0 {
			t.Errorf("%+v %v", kills, err)
		}
	})
}

// TestAnExtensionIsKilledWithWhatItExtends: the removal is that of the last of them.
func TestAnExtensionIsKilledWithWhatItExtends(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		r.Kills("Sandbox")
		id := r.Ask("dana", "play ReadOnly").Lines[0].Grant
		r.Become(id, access.Active, time.Minute)
		q, err := r.Broker.Ask(r.As("dana"), broker.Wish{Duration: time.Hour, Reason: "more", Key: "extending", Extends: id})
		if err != nil {
			t.Fatal(err)
		}
		next := q.Lines[0].Grant
		r.Become(next, access.Active, time.Minute)
		k := endAndKill(r, "dana", id)
		if want := slices.Sorted(slices.Values([]string{id, next})); !slices.Equal(k.Grants, want) {
			t.Errorf("it names %v, not %v", k.Grants, want)
		}
		r.Become(next, access.Ended, time.Minute)
		r.Become(id, access.Ended, time.Minute)
		send(r)
		last := r.Grant(id).EndedAt
		if o := r.Grant(next).EndedAt; o.After(last) {
			last = o
		}
		if k = kill(r, k.ID); k.Before.Before(last) {
			t.Errorf("%s, and the last was removed at %s", k.Before, last)
		}
	})
}

func parentOf(r *rig.Rig, account string) org.OUID {
	return org.NewMirror(r.O).AccountsNamed(account)[0].Parent
}

func TestTheCheckSaysWhereKillsHaveNoEffect(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		if v, err := r.Broker.CheckKills(r.As("ana")); err != nil || v.SetUp || len(v.Wrong) != 1 {
			t.Errorf("%+v %v", v, err)
		}
		_, err := r.Broker.CheckKills(r.As("dana"))
		refusedWith(t, err, access.ErrRefused, "administrators and auditors")
		check := func(wrong string, unreached ...string) {
			t.Helper()
			v, err := r.Broker.CheckKills(r.As("amy"))
			var names []string
			for _, a := range v.Unreached {
				names = append(names, a.Name)
			}
			if got := strings.Join(v.Wrong, "; "); err != nil || !v.SetUp || !strings.Contains(got, wrong) || (wrong == "") != (got == "") || !slices.Equal(names, unreached) {
				t.Errorf("%q, %v, %v; want %q, %v", got, names, err, wrong, unreached)
			}
		}
		policy := r.Kills()
		check("attached to nothing", "payments-prod", "play", "play-two")
		r.Attach(policy, "Sandbox")
		check("", "payments-prod")
		r.Attach(policy, "Workloads/Prod")
		check("")
		for ou, words := range map[org.OUID]string{parentOf(r, "play"): "play (100000000003), which is an emergency account", "ou-none": "no emergency OU ou-none"} {
			r.Broker.KillPolicy.EmergencyOU = ou
			check(words)
		}
		r.Broker.KillPolicy.EmergencyOU = ""
		r.Attach(policy, "/")
		check("attached to the root")
		r.Box.Script(sandbox.Fault{Operation: "ListTargetsForPolicy", Kind: sandbox.Denied})
		check("listing what the policy")
	})
}
