package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sparekey/audit"
	"sparekey/org"
)

const (
	aPerson = "97671b36-a0d1-70f3-8b56-1f3b5c1f2f00"
	aSet    = "arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111"
)

func killOf(id, person, account, set string, wanted, before time.Time) Kill {
	k := Kill{ID: id, Version: 1, State: KillWanted, Person: Named{ID: org.PersonID(person), User: "dana"}, WantedAt: wanted, Before: before}
	if set != "" {
		k.Target = &Place{Target: org.Target{Account: org.AccountID(account), PermissionSet: aSet}, AccountName: account, PermissionSetName: set, SessionMinutes: 120}
	}
	return k
}

func TestAKillIsOneStatementOfTheTemplate(t *testing.T) {
	at := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	const mark = `{"Version":"2012-10-17","Statement":[{"Sid":"SparekeySessionKills","Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"identitystore:userId":"nobody"}}}`
	const role = `"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/*AWSReservedSSO_PowerUser_*"}`
	const deny = `,{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"identitystore:userId":"` + aPerson + `"}`
	for want, kills := range map[string][]Kill{
		mark + "]}":                       nil,
		mark + deny + "," + role + "}}]}": {killOf("kill-1", aPerson, "111122223333", "PowerUser", at, time.Time{})},
		mark + deny + "}}]}":              {killOf("kill-1", aPerson, "", "", at, time.Time{})},
		mark + deny + "," + role + `,"DateLessThan":{"aws:TokenIssueTime":"2026-11-22T03:00:05Z"}}}]}`: {
			killOf("kill-1", aPerson, "111122223333", "PowerUser", at, at.Add(5*time.Second)), killOf("kill-0", aPerson, "111122223333", "PowerUser", at, at.Add(-time.Minute)),
		},
	} {
		if got := RenderKills(kills, KillSize, at).Text; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if EmptyKillPolicy() != mark+"]}" {
		t.Error(EmptyKillPolicy())
	}
}

// request is one with credentials of a person in a role, and decided by a policy of session kills as AWS does it.
type request struct {
	person, account, set string
	issued               time.Time
}

// denied judges a policy from its text, apart from how it was made.
func denied(t *rapid.T, text string, q request) bool {
	var doc struct {
		Statement []struct {
			Effect, Action, Resource string
			Condition                map[string]map[string]string
		}
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	arn := "arn:aws:iam::" + q.account + ":role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_" + q.set + "_0123456789abcdef"
	for _, s := range doc.Statement {
		if s.Effect != "Deny" || s.Action != "*" || s.Resource != "*" || len(s.Condition) == 0 {
			t.Fatalf("a statement that is not the template's: %+v", s)
		}
		all := true
		for operator, of := range s.Condition {
			for key, value := range of {
				switch operator + " " + key {
				case "StringEquals identitystore:userId":
					all = all && q.person == value
				case "ArnLike aws:PrincipalArn":
					ok, err := path.Match(strings.ReplaceAll(value, "/", "!"), strings.ReplaceAll(arn, "/", "!"))
					all = all && ok && err == nil
				case "DateLessThan aws:TokenIssueTime":
					at, err := time.Parse(time.RFC3339, value)
					all = all && q.issued.Before(at) && err == nil
				default:
					t.Fatalf("%s %s is not of the template", operator, key)
				}
			}
		}
		if all {
			return true
		}
	}
	return false
}

func drawKills(t *rapid.T, start time.Time) []Kill {
	var kills []Kill
	for i := range rapid.IntRange(0, 60).Draw(t, "kills") {
		person := fmt.Sprintf("%08d-a0d1-70f3-8b56-1f3b5c1f2f00", rapid.IntRange(1, 12).Draw(t, "person"))
		account := fmt.Sprintf("%012d", rapid.IntRange(1, 6).Draw(t, "account"))
		set := rapid.SampledFrom([]string{"", "Admin", "PowerUser", "ReadOnly", "Power", "A+b=c,d.e@f-1"}).Draw(t, "set")
		wanted := start.Add(time.Duration(rapid.IntRange(-30_000_000, 0).Draw(t, "wanted")) * time.Millisecond)
		k := killOf(fmt.Sprintf("kill-%03d", i), person, account, set, wanted, time.Time{})
		if rapid.Bool().Draw(t, "removed") {
			k.Before = wanted.Add(time.Duration(rapid.IntRange(0, 50_000).Draw(t, "took")) * time.Second).Truncate(time.Second)
		}
		k.State = rapid.SampledFrom([]KillState{KillWanted, KillSent, KillTightened, KillExpired}).Draw(t, "state")
		kills = append(kills, k)
	}
	return kills
}

// TestAKillPolicyKeepsItsPromises: whatever kills there are, the policy fits, each live kill is covered or named as not
// covered, what is covered denies what it should and, where it has a statement of its own, nothing after the removal.
func TestAKillPolicyKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		kills := drawKills(t, now)
		size := rapid.SampledFrom([]int{KillLeast, 2048, KillSize, 10240}).Draw(t, "size")
		p := RenderKills(kills, size, now)
		if len(p.Text) > size-KillReserve {
			t.Fatalf("%d characters of %d", len(p.Text), size)
		}
		if again := RenderKills(rapid.Permutation(kills).Draw(t, "order"), size, now); again.Text != p.Text {
			t.Fatalf("another order makes another text:\n%s\n%s", p.Text, again.Text)
		}
		n, err := ReadKillPolicy(p.Text)
		if err != nil || n > len(kills) {
			t.Fatal(n, err)
		}
		last := map[killKey]time.Time{} // of the removals of live kills, by what they share
		open := map[killKey]bool{}
		for _, k := range kills {
			if k.live(now) {
				last[k.key()] = latest(last[k.key()], k.Before)
				open[k.key()] = open[k.key()] || k.Before.IsZero()
			}
		}
		for _, k := range kills {
			cover, named := p.Covers[k.ID]
			if named != k.live(now) {
				t.Fatalf("%s is live: %v; named: %v", k.ID, k.live(now), named)
			}
			q := request{string(k.Person.ID), "000000000001", "Other", k.WantedAt.Add(-time.Second).Truncate(time.Second)}
			if k.Target != nil {
				q.account, q.set = string(k.Target.Account), k.Target.PermissionSetName
			}
			if cover != CoverNone && !denied(t, p.Text, q) {
				t.Fatalf("%s is covered by %s, and a session from before is let through\n%s", k.ID, cover, p.Text)
			}
			if n == 0 && cover != CoverNone {
				t.Fatalf("%s is covered by nothing", k.ID)
			}
		}
		onlyOwn(t, p, kills, last, open, now)
	})
}

// onlyOwn checks, where every kill has a statement of its own, that nothing is denied to anybody else, nor to sessions that
// were issued after the removal.
func onlyOwn(t *rapid.T, p KillPolicy, kills []Kill, last map[killKey]time.Time, open map[killKey]bool, now time.Time) {
	for _, cover := range p.Covers {
		if cover != CoverPerson {
			return
		}
	}
	for _, k := range kills {
		if k.Target == nil {
			continue
		}
		for _, issued := range []time.Time{now, k.Before, k.WantedAt.Truncate(time.Second)} {
			q := request{string(k.Person.ID), string(k.Target.Account), k.Target.PermissionSetName, issued}
			everything := killKey{person: q.person}
			want := open[k.key()] || issued.Before(last[k.key()]) || open[everything] || issued.Before(last[everything])
			if got := denied(t, p.Text, q); got != want {
				t.Fatalf("%+v: denied %v, want %v\n%s", q, got, want, p.Text)
			}
			q.person = "00000099-a0d1-70f3-8b56-1f3b5c1f2f00"
			if denied(t, p.Text, q) {
				t.Fatalf("somebody else is denied: %+v\n%s", q, p.Text)
			}
		}
	}
}

// TestWhereThereIsNoRoomASetIsDeniedAsAWhole has more kills than a policy can hold.
func TestWhereThereIsNoRoomASetIsDeniedAsAWhole(t *testing.T) {
	at := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	var kills []Kill
	for i := range 40 {
		k := killOf(fmt.Sprintf("kill-%02d", i), fmt.Sprintf("%08d-a0d1-70f3-8b56-1f3b5c1f2f00", i), "111122223333", "PowerUser", at, at.Add(time.Duration(i)*time.Second))
		if i == 39 {
			k.Before, k.Target.PermissionSetName = time.Time{}, "Admin"
		}
		kills = append(kills, k)
	}
	p := RenderKills(kills, KillSize, at)
	const all = `{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/aws-reserved/sso.amazonaws.com/*AWSReservedSSO_PowerUser_*"},` +
		`"DateLessThan":{"aws:TokenIssueTime":"2026-11-22T03:00:38Z"}}}`
	if !strings.Contains(p.Text, all) || p.Covers["kill-00"] != CoverSet || p.Covers["kill-39"] != CoverPerson {
		t.Errorf("%s\n%v", p.Text, p.Covers)
	}
	var everybody []Kill
	for i := range 60 {
		everybody = append(everybody, killOf(fmt.Sprintf("kill-%02d", i), fmt.Sprintf("%08d-a0d1-70f3-8b56-1f3b5c1f2f00", i), "", "", at.Add(time.Duration(i)*time.Second), time.Time{}))
	}
	p = RenderKills(everybody, KillSize, at)
	if p.Covers["kill-00"] != CoverNone || p.Covers["kill-59"] != CoverPerson {
		t.Errorf("what was wanted first is left out, not %v", p.Covers)
	}
}

func grantOver(id string, at time.Time) Grant {
	return Grant{
		ID: id, State: Ended, Person: Named{ID: aPerson, User: "dana"}, EndedAt: at, Terms: Terms{Way: Assignment},
		Target: Place{Target: org.Target{Account: "111122223333", PermissionSet: aSet}, AccountName: "play", PermissionSetName: "PowerUser", SessionMinutes: 120},
	}
}

// one takes the kill of a change, and fails where there is none.
func one(t *testing.T, c Change, err error) Kill {
	t.Helper()
	if err != nil || len(c.Kills) != 1 || len(c.Events) != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	return c.Kills[0]
}

func TestAKillIsSentTightenedAndTakenOut(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 400_000_000, time.UTC)
	by := audit.Actor{Kind: audit.APerson, ID: "amy"}
	g := grantOver("g-1", time.Time{})
	g.State = Ending
	c, err := WantKill("kill-1", []Grant{g}, "100000000001", by, "stolen laptop", now)
	if k := one(t, c, err); k.State != KillWanted || len(c.Promises) != 1 || k.Says() != "not sent yet" {
		t.Errorf("%+v", c)
	}
	k := c.Kills[0]
	if c, err := k.Look([]Grant{g}, now); err != nil || len(c.Kills) != 0 {
		t.Errorf("%+v %v", c, err)
	}
	c, err = k.Hinder(errors.New("no answer"), now)
	k = one(t, c, err)
	if k.State != KillWanted || k.Says() != "not sent: no answer" || !k.NextTry.Equal(now.Add(5*time.Second)) {
		t.Errorf("%+v", k)
	}
	c, err = k.Told(RenderKills([]Kill{k}, KillSize, now), now)
	if k = one(t, c, err); k.State != KillSent || k.Cover != CoverPerson || k.Trouble != "" || !strings.HasPrefix(k.Says(), "sent: denies everything, also") {
		t.Errorf("%+v", k)
	}
	if c, err := k.Told(RenderKills([]Kill{k}, KillSize, now), now); err != nil || len(c.Kills) != 0 {
		t.Errorf("the same again: %+v %v", c, err)
	}
	removed := now.Add(10 * time.Second)
	c, err = k.Look([]Grant{grantOver("g-1", removed)}, removed)
	if k = one(t, c, err); k.State != KillSent || !k.Before.Equal(removed.Truncate(time.Second).Add(time.Second)) {
		t.Errorf("%+v", k)
	}
	c, err = k.Told(RenderKills([]Kill{k}, KillSize, removed), removed)
	if k = one(t, c, err); k.State != KillTightened || k.Says() != "sent: denies everything to sessions from before the removal at 03:00:11Z" {
		t.Errorf("%+v: %s", k, k.Says())
	}
	over := k.ExpiresAt()
	if !over.Equal(k.Before.Add(2 * time.Hour)) {
		t.Errorf("it expires at %s", over)
	}
	if c, err := k.Told(RenderKills([]Kill{k}, KillSize, over.Add(-time.Second)), over); err != nil || len(c.Kills) != 0 {
		t.Errorf("%+v %v", c, err)
	}
	c, err = k.Told(RenderKills([]Kill{k}, KillSize, over), over)
	if k = one(t, c, err); k.State != KillExpired || k.Open() {
		t.Errorf("%+v", k)
	}
	for _, late := range []func() (Change, error){
		func() (Change, error) { return k.Look([]Grant{g}, over) }, func() (Change, error) { return k.Hinder(errors.New("x"), over) },
		func() (Change, error) { return k.Told(RenderKills([]Kill{k}, KillSize, over), over) },
	} {
		if c, err := late(); err != nil || len(c.Kills) != 0 {
			t.Errorf("what is over changes: %+v %v", c, err)
		}
	}
}

// TestWhatLandedLateOpensAKillAgain lets the access come back after the removal was confirmed.
func TestWhatLandedLateOpensAKillAgain(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	g := grantOver("g-1", now)
	c, err := WantKill("kill-1", []Grant{g}, "", audit.Actor{}, "", now)
	k := one(t, c, err)
	c, err = k.Look([]Grant{g}, now)
	k = one(t, c, err)
	c, err = k.Told(RenderKills([]Kill{k}, KillSize, now), now)
	k = one(t, c, err)
	if k.State != KillTightened || !k.Before.Equal(now) {
		t.Fatalf("%+v", k)
	}
	back := g
	back.State = Ending
	c, err = k.Look([]Grant{back}, now)
	opened := one(t, c, err)
	c, err = opened.Told(RenderKills([]Kill{opened}, KillSize, now), now)
	if opened = one(t, c, err); opened.State != KillSent || !opened.Before.IsZero() {
		t.Errorf("%+v", opened)
	}
	c, err = k.Look([]Grant{grantOver("g-1", now.Add(time.Minute))}, now.Add(time.Minute)) // it went again before anybody looked
	again := one(t, c, err)
	c, err = again.Told(RenderKills([]Kill{again}, KillSize, now), now)
	if again = one(t, c, err); again.State != KillTightened || !again.Before.Equal(now.Add(time.Minute)) {
		t.Errorf("%+v", again)
	}
}

func TestAKillThatFindsNoRoomSaysSo(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	k := killOf("kill-1", aPerson, "111122223333", "PowerUser", now, time.Time{})
	none := KillPolicy{EmptyKillPolicy(), map[string]Cover{k.ID: CoverNone}}
	for _, k.State = range []KillState{KillWanted, KillSent, KillTightened} {
		c, err := k.Told(none, now)
		out := one(t, c, err)
		if out.State != KillWanted || !strings.Contains(out.Says(), "no room") {
			t.Errorf("%+v", out)
		}
		if c, err := out.Told(none, now); err != nil || len(c.Kills) != 0 {
			t.Errorf("it says so twice: %+v %v", c, err)
		}
	}
	for state, words := range map[KillState]string{KillSent: "is not covered until the removal is confirmed", KillTightened: "others must sign in again"} {
		k.State, k.Cover = state, CoverSet
		if !strings.Contains(k.Says(), words) {
			t.Errorf("%s: %s", state, k.Says())
		}
		if strings.Contains(k.Says(), "proven") || strings.Contains(k.Says(), "killed") {
			t.Error(k.Says())
		}
	}
}

func TestWhatAPolicyCannotNameIsNotKilled(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	for words, change := range map[string]func(*Grant){
		"carry their own end":       func(g *Grant) { g.Way = Session },
		"is the management account": func(g *Grant) { g.Target.Account = "100000000001" },
		`"Power*" in`:               func(g *Grant) { g.Target.PermissionSetName = "Power*" },
		`"P?" in`:                   func(g *Grant) { g.Target.PermissionSetName = "P?" },
		`"${aws:userid}" in`:        func(g *Grant) { g.Target.PermissionSetName = "${aws:userid}" },
		`in "*" is not`:             func(g *Grant) { g.Target.Account = "*" },
		`"*" is not a person's id`:  func(g *Grant) { g.Person.ID = "*" },
		`"a\"b" is not a person's`:  func(g *Grant) { g.Person.ID = `a"b` },
		`"${x}" is not a person's`:  func(g *Grant) { g.Person.ID = "${x}" },
		`"" is not a person's`:      func(g *Grant) { g.Person.ID = "" },
		"holds a character that":    nil,
	} {
		g, why := grantOver("g-1", now), ""
		if change == nil {
			why = "a\nb"
		} else {
			change(&g)
		}
		if _, err := WantKill("kill-1", []Grant{g}, "100000000001", audit.Actor{}, why, now); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", words, err)
		}
	}
}

func TestSomebodyElsesPolicyIsNotOne(t *testing.T) {
	for text, words := range map[string]string{
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`:                         "does not begin",
		`{"Version":"2012-10-17","Statement":[]}`:                                                                       "does not begin",
		`{"Version":"2012-10-17","Statement":{"Sid":"SparekeySessionKills","Effect":"Deny"}}`:                           "cannot be read",
		`{"Statement":[{"Sid":"SparekeySessionKills","Effect":"Deny"},{"Effect":"Allow","Action":"*","Resource":"*"}]}`: "does not deny",
		"": "cannot be read",
	} {
		if _, err := ReadKillPolicy(text); !errors.Is(err, ErrRejected) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", text, err)
		}
	}
	spaced := strings.ReplaceAll(EmptyKillPolicy(), ",", " ,\n ")
	if !SamePolicy(EmptyKillPolicy(), spaced) || SamePolicy(EmptyKillPolicy(), "{}") || SamePolicy("x", "y") {
		t.Error("how a policy is laid out makes a difference")
	}
}

// TestAllSessionsOfAPersonAreOneKill has nothing to wait for where nothing is being ended.
func TestAllSessionsOfAPersonAreOneKill(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	dana := Named{ID: aPerson, User: "dana"}
	c, err := WantPersonKill("kill-1", dana, nil, audit.Actor{}, "stolen", now)
	k := one(t, c, err)
	c, err = k.Look(nil, now)
	if k = one(t, c, err); !k.Before.Equal(now) || !k.ExpiresAt().Equal(now.Add(12*time.Hour)) {
		t.Errorf("%+v", k)
	}
	g := grantOver("g-1", time.Time{})
	g.State = Ending
	c, err = WantPersonKill("kill-2", dana, []Grant{g}, audit.Actor{}, "stolen", now)
	k = one(t, c, err)
	if c, err := k.Look([]Grant{g}, now); err != nil || len(c.Kills) != 0 {
		t.Errorf("%+v %v", c, err)
	}
	if _, err := WantPersonKill("kill-3", Named{ID: "*"}, nil, audit.Actor{}, "", now); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}
