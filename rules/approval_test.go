package rules

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sparekey/org"
)

// TestTheExamplesOfEachPartOfTheLanguageHold: each file is one thing that rules can say, with the sentences that test it.
//
// Requirements S1-37, S1-38, S1-39, partly S2-16.
func TestTheExamplesOfEachPartOfTheLanguageHold(t *testing.T) {
	const folder = "testdata/bullets"
	text, err := os.ReadFile(filepath.Join(folder, "organization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	m := described(t, string(text))
	for _, name := range bullets(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			b, err := Parse([]File{{name, text}}, DefaultLongest)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range b.Check(m) {
				t.Error(w)
			}
			if len(b.Tests) == 0 {
				t.Error("it has no tests")
			}
			for _, r := range b.In(m).Try() {
				if !r.OK {
					t.Error(r)
				}
			}
		})
	}
}

// approving is a rule of one approval, in the world of the examples.
func approving(t testing.TB, approval string) (Set, func(user string) org.Person) {
	t.Helper()
	text, err := os.ReadFile("testdata/bullets/organization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m := described(t, string(text))
	s := parsed(t, "rules:\n  - name: a\n    who: {everyone: true}\n    what: {permission-sets: [PowerUser]}\n    where: {ous: [/]}\n    for: 1h\n    approval: "+approval+"\n").In(m)
	return s, func(user string) org.Person { return person(t, m, user) }
}

func caseFor(s Set, requester org.Person) Case {
	m := s.Organization()
	set, _ := m.PermissionSet("PowerUser")
	d := s.Judge(requester, Ask{Target: org.Target{Account: "100000000003", PermissionSet: set.ARN}, For: time.Hour, Reason: "r"})
	return Case{Needs: d.Needs, Requester: requester.ID, Asked: s.facts.Now, Sensitive: d.Sensitive}
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// agree lets people approve in their order, and says why not.
func agree(s Set, c *Case, people ...org.Person) []string {
	var said []string
	for _, p := range people {
		v, why := s.MayApprove(*c, p)
		if why == "" {
			c.Votes = append(c.Votes, v)
		}
		said = append(said, why)
	}
	return said
}

func TestStagesComeInTheirOrderAndNobodyCountsTwice(t *testing.T) {
	s, who := approving(t, "{stages: [{need: 1, groups: [prod-approvers]}, {all: [{need: 1, groups: [security]}, {need: 1, people: [sam, lee, kim]}]}]}")
	s = s.At(Facts{Now: noon})
	c := caseFor(s, who("dana"))
	if c.Needs.Approvals != 3 || c.Needs.String() != "1 of prod-approvers, then 1 of security and 1 of sam or lee or kim" {
		t.Fatalf("%d: %s", c.Needs.Approvals, c.Needs)
	}
	said := agree(s, &c, who("sam"), who("kim"), who("kim"), who("sam"), who("sol"), who("lee"))
	for i, want := range []string{
		"it needs 1 of prod-approvers; sam is none of them", // its turn has not come
		"",
		"kim approved it already", // in another stage
		"",                        // sam could sit in both panels
		"",                        // and moves over for sol, who can sit in only one
		"everybody has agreed already",
	} {
		if !strings.HasPrefix(said[i], want) || want == "" && said[i] != "" {
			t.Errorf("number %d was told %q, want %q", i, said[i], want)
		}
	}
	if p := s.Progress(c); !p.Done(c.Needs) || p.Counts != 3 {
		t.Errorf("%+v", p)
	}
	// A giver who is disabled no longer counts, whatever came after.
	kim := who("kim")
	kim.Status = org.StatusDisabled
	if p := s.At(Facts{Now: noon, Live: map[org.PersonID]org.Person{kim.ID: kim}}).Progress(c); p.Stage != 0 || p.Counts != 0 {
		t.Errorf("without kim: %+v", p)
	}
}

func TestNobodyCanApproveIsSaidOfPanelsThatCannotBothBeFilled(t *testing.T) {
	s, who := approving(t, "{all: [{need: 2, groups: [security]}, {need: 1, people: [sam]}]}")
	s = s.At(Facts{Now: noon})
	set, _ := s.Organization().PermissionSet("PowerUser")
	d := s.Judge(who("dana"), Ask{Target: org.Target{Account: "100000000003", PermissionSet: set.ARN}, For: time.Hour, Reason: "r"})
	if !strings.HasPrefix(d.Nobody, "it needs 3 people and only 2 can") {
		t.Errorf("%q", d.Nobody)
	}
}

func TestADelegateHasOneSayAndNeverAboutTheirOwn(t *testing.T) {
	s, who := approving(t, "{need: 2, groups: [security]}")
	f := Facts{Now: noon, Delegations: []Delegation{
		{From: Named{ID: who("sam").ID, User: "sam"}, To: Named{ID: who("kim").ID, User: "kim"}, Since: noon.Add(-time.Hour), Until: noon.Add(time.Hour)},
	}}
	s = s.At(f)
	c := caseFor(s, who("dana"))
	if said := agree(s, &c, who("kim"), who("kim")); said[0] != "" || said[1] == "" {
		t.Fatalf("kim for sam, twice: %q", said)
	}
	if c.Votes[0].For.User != "sam" || c.Votes[0].By.User != "kim" {
		t.Errorf("%+v", c.Votes[0])
	}
	if _, why := s.MayApprove(c, who("sam")); why == "" {
		t.Error("sam's say counted twice")
	}
	if said := agree(s, &c, who("sol")); said[0] != "" || !s.Progress(c).Done(c.Needs) {
		t.Errorf("%q", said)
	}
	for name, of := range map[string]struct {
		facts     Facts
		requester string
	}{
		"the delegate asks":    {f, "kim"},
		"the delegator asks":   {f, "sam"},
		"it is over":           {Facts{Now: noon.Add(time.Hour), Delegations: f.Delegations}, "dana"},
		"the delegator is off": {Facts{Now: noon, Delegations: f.Delegations, Live: map[org.PersonID]org.Person{who("sam").ID: {ID: who("sam").ID, Status: org.StatusDisabled}}}, "dana"},
	} {
		at := s.At(of.facts)
		c := caseFor(at, who(of.requester))
		if _, why := at.MayApprove(c, who("kim")); why == "" {
			t.Errorf("%s: kim may approve", name)
		}
	}
	// Who is away is not counted upon; their delegate is.
	var able []string
	for _, p := range s.Approvers(caseFor(s, who("dana"))) {
		able = append(able, p.User)
	}
	if !slices.Equal(able, []string{"kim", "sol"}) {
		t.Errorf("able: %v", able)
	}
}

func TestTheSilentAreNotTold(t *testing.T) {
	s, who := approving(t, "{need: 1, groups: [prod-approvers], silent: {groups: [security]}}")
	s = s.At(Facts{Now: noon})
	users := func(of []org.Person) string {
		var names []string
		for _, p := range of {
			names = append(names, p.User)
		}
		return strings.Join(names, " ")
	}
	c := caseFor(s, who("dana"))
	if able, told := users(s.Approvers(c)), users(s.Told(c)); able != "kim ren sam sol" || told != "kim ren" {
		t.Errorf("able %s, told %s", able, told)
	}
}

func TestNewcomersToAGroupWaitADayForWhatIsSensitive(t *testing.T) {
	s, who := approving(t, "{need: 1, groups: [prod-approvers]}")
	ren := who("ren")
	ren.Joined = map[org.GroupID]time.Time{ren.Groups[0]: noon.Add(-NewcomersWait).Add(time.Second)}
	for _, c := range []struct {
		sensitive bool
		at        time.Time
		want      string
	}{{false, noon, ""}, {true, noon, "ren came into the group less than a day ago"}, {true, noon.Add(time.Second), ""}} {
		at := s.At(Facts{Now: c.at})
		about := caseFor(at, who("dana"))
		about.Sensitive = c.sensitive
		if _, why := at.MayApprove(about, ren); !strings.HasPrefix(why, c.want) || c.want == "" && why != "" {
			t.Errorf("%+v: %q", c, why)
		}
	}
}

func TestOnCallNarrowsAndNeverWidens(t *testing.T) {
	for _, c := range []struct {
		approval, want string
		shift          *Shift
		user           string
	}{
		{"{need: 1, groups: [prod-approvers], on-call: {schedule: p}}", "", &Shift{People: []org.PersonID{"ren"}}, "ren"},
		{"{need: 1, groups: [prod-approvers], on-call: {schedule: p}}", "kim is not on call in p", &Shift{People: []org.PersonID{"ren"}}, "kim"},
		{"{need: 1, groups: [prod-approvers], on-call: {schedule: p}}", "it needs 1 of prod-approvers on call in p; lee is none of them", &Shift{People: []org.PersonID{"lee"}}, "lee"},
		{"{need: 1, groups: [prod-approvers], on-call: {schedule: p}}", "", &Shift{Down: "no answer"}, "kim"},
		{"{need: 1, groups: [prod-approvers], on-call: {schedule: p}}", "", nil, "kim"},
		{"{need: 1, groups: [prod-approvers], on-call: {schedule: p, when-down: nobody}}", "nobody knows who is on call in p: no answer", &Shift{Down: "no answer"}, "kim"},
	} {
		s, who := approving(t, c.approval)
		f := Facts{Now: noon}
		if c.shift != nil {
			shift := *c.shift
			for i, user := range shift.People {
				shift.People[i] = who(string(user)).ID
			}
			f.OnCall = map[string]Shift{"p": shift}
		}
		s = s.At(f)
		if _, why := s.MayApprove(caseFor(s, who("dana")), who(c.user)); why != c.want {
			t.Errorf("%s by %s: %q, want %q", c.approval, c.user, why, c.want)
		}
	}
}

// TestVotesNeverFinishACaseWithoutEnoughDifferentPeople: whatever order people approve in, when a case is done there is a
// seat for each approval, held by different people who may have it, and none by the requester.
//
// Requirement S2-36.
func TestVotesNeverFinishACaseWithoutEnoughDifferentPeople(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOrganization(t)
		m := org.NewMirror(o)
		s := (&Book{}).In(m).At(Facts{Now: noon, Delegations: anyDelegations(t, o)})
		n := anyNeeds(t, o)
		requester := rapid.SampledFrom(o.People).Draw(t, "requester")
		c := Case{Needs: n, Requester: requester.ID, Asked: noon.Add(-time.Duration(rapid.IntRange(0, 60).Draw(t, "minutes")) * time.Minute)}
		for i := range rapid.IntRange(0, 12).Draw(t, "clicks") {
			p := rapid.SampledFrom(o.People).Draw(t, fmt.Sprintf("click %d", i))
			v, why := s.MayApprove(c, p)
			if why != "" {
				continue
			}
			before := s.Progress(c)
			c.Votes = append(c.Votes, v)
			after := s.Progress(c)
			if after.Counts != before.Counts+1 || after.Stage < before.Stage {
				t.Fatalf("a vote that may be given brought %+v to %+v", before, after)
			}
		}
		by, authority := map[org.PersonID]bool{}, map[org.PersonID]bool{}
		for _, v := range c.Votes {
			if v.By.ID == c.Requester || v.authority() == c.Requester || by[v.By.ID] || authority[v.authority()] {
				t.Fatalf("%+v counts", v)
			}
			by[v.By.ID], authority[v.authority()] = true, true
		}
		if p := s.Progress(c); p.Done(n) && (p.Counts != n.Approvals || len(by) < n.Approvals) {
			t.Fatalf("done with %d people for %s", len(by), n)
		}
	})
}

func anyNeeds(t *rapid.T, o org.Organization) Needs {
	var n Needs
	for i := range rapid.IntRange(1, 3).Draw(t, "stages") {
		var stage []Quorum
		for j := range rapid.IntRange(1, 2).Draw(t, fmt.Sprintf("panels of %d", i)) {
			q := Quorum{Need: rapid.IntRange(1, 2).Draw(t, fmt.Sprintf("need %d %d", i, j))}
			q.Groups = []org.Group{rapid.SampledFrom(o.Groups).Draw(t, "group")}
			if rapid.Bool().Draw(t, "ladder") {
				q.Ladder = []Step{{Members{Groups: []org.Group{rapid.SampledFrom(o.Groups).Draw(t, "rung")}}, 15}}
			}
			n.Approvals += q.Need
			stage = append(stage, q)
		}
		n.Stages = append(n.Stages, stage)
	}
	return n
}

func anyDelegations(t *rapid.T, o org.Organization) []Delegation {
	var all []Delegation
	for i := range rapid.IntRange(0, 3).Draw(t, "delegations") {
		from, to := rapid.SampledFrom(o.People).Draw(t, fmt.Sprintf("from %d", i)), rapid.SampledFrom(o.People).Draw(t, fmt.Sprintf("to %d", i))
		all = append(all, Delegation{From: Named{ID: from.ID, User: from.User}, To: Named{ID: to.ID, User: to.User}, Since: noon.Add(-time.Hour), Until: noon.Add(time.Hour)})
	}
	return all
}

// TestTheExamplesInTheDocsAreRules reads the rules that docs/approvals.md shows.
func TestTheExamplesInTheDocsAreRules(t *testing.T) {
	text, err := os.ReadFile("../docs/approvals.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```")
	read := 0
	for i := 1; i < len(blocks); i += 2 {
		if yaml, ok := strings.CutPrefix(blocks[i], "yaml\n"); ok {
			read++
			if _, err := Parse([]File{{"approvals.md", []byte(yaml)}}, DefaultLongest); err != nil {
				t.Error(err)
			}
		}
	}
	if read != 2 {
		t.Errorf("%d examples", read)
	}
}
