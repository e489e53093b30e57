package rules

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"sparekey/org"
)

// perFile is how many rules stand in one suggested file, so that a person can read it and the strict reader takes it.
const perFile = 200

// Suggest writes rules under which people may ask for what they have now by standing assignments: exactly those people,
// exactly those targets. There is a rule for each group, or each set of people, with the permission sets that they have in the
// same accounts; accounts are named by the smallest OU that holds exactly them, or else by id. How long and with whose
// approval is a guess by name and place, which a comment explains; tests stand beside the rules.
//
// People who are gone, accounts that are not active and assignments of what is not there any more give nothing, and are not
// in it. It returns no file when nobody has anything.
func Suggest(o org.Organization, assignments []org.Assignment) []File {
	s := &suggester{m: org.NewMirror(o), below: map[org.OUID][]org.AccountID{}, has: map[held]bool{}, names: map[string]bool{}}
	s.indexOUs()
	var files []File
	all := s.rules(assignments)
	for part := range slices.Chunk(all, perFile) {
		name := "standing.yaml"
		if len(all) > perFile {
			name = fmt.Sprintf("standing-%02d.yaml", len(files)+1)
		}
		files = append(files, File{name, s.write(part)})
	}
	return files
}

// suggester gathers what is there.
type suggester struct {
	m     *org.Mirror
	below map[org.OUID][]org.AccountID // the active accounts below each OU, in order
	deep  []org.OUID                   // OUs with accounts below them, the deepest first
	has   map[held]bool
	names map[string]bool // of rules
}

// held is a target that a person has now.
type held struct {
	who org.PersonID
	org.Target
}

// suggested is a rule that is being suggested.
type suggested struct {
	name     string
	group    *org.Group // or people
	people   []org.Person
	sets     []org.PermissionSet
	accounts []org.Account
	guess
}

// guess is how something is lent by the looks of it.
type guess struct {
	long      time.Duration
	approvals int // at most; fewer when there are not so many people
	why       string
}

func (s *suggester) indexOUs() {
	depth := map[org.OUID]int{}
	for _, a := range s.m.Organization().Accounts {
		if a.State != org.AccountActive {
			continue
		}
		above := s.m.Above(a)
		for i, ou := range above {
			s.below[ou], depth[ou] = append(s.below[ou], a.ID), len(above)-i
		}
	}
	for ou, accounts := range s.below {
		slices.Sort(accounts)
		s.deep = append(s.deep, ou)
	}
	slices.SortFunc(s.deep, func(a, b org.OUID) int { return cmp.Or(cmp.Compare(depth[b], depth[a]), cmp.Compare(a, b)) })
}

// rules makes one rule of each group or person, guess and set of accounts, and one of all people who have the same.
func (s *suggester) rules(assignments []org.Assignment) []suggested {
	type holder struct {
		kind org.PrincipalKind
		id   string
		guess
	}
	given := map[holder]map[string]map[org.AccountID]bool{} // accounts by permission set
	for _, a := range assignments {
		account, there := s.m.Account(a.Account)
		set, known := s.m.PermissionSet(a.PermissionSet)
		if !there || !known || account.State != org.AccountActive || !s.take(a) {
			continue
		}
		h := holder{a.Kind, a.Principal, s.guess(set, account)}
		if given[h] == nil {
			given[h] = map[string]map[org.AccountID]bool{}
		}
		if given[h][set.ARN] == nil {
			given[h][set.ARN] = map[org.AccountID]bool{}
		}
		given[h][set.ARN][account.ID] = true
	}
	found := map[string]*suggested{}
	for h, sets := range given {
		bySameAccounts := map[string][]string{}
		for arn, accounts := range sets {
			key := strings.Join(sorted(accounts), " ")
			bySameAccounts[key] = append(bySameAccounts[key], arn)
		}
		for accounts, arns := range bySameAccounts {
			slices.Sort(arns)
			s.add(found, h.kind, h.id, h.guess, arns, strings.Fields(accounts))
		}
	}
	list := make([]suggested, 0, len(found))
	for _, key := range slices.Sorted(maps.Keys(found)) {
		list = append(list, *found[key])
	}
	slices.SortStableFunc(list, func(a, b suggested) int { return strings.Compare(a.whose(), b.whose()) })
	for i := range list {
		list[i].name = s.nameOf(list[i])
	}
	return list
}

// take notes who has an assignment's target, and reports whether anybody does.
func (s *suggester) take(a org.Assignment) bool {
	people := []org.PersonID{org.PersonID(a.Principal)}
	if a.Kind == org.GroupOfAWS {
		people = s.m.Members(org.GroupID(a.Principal))
	}
	somebody := false
	for _, id := range people {
		if p, ok := s.m.Person(id); ok && !p.Status.Gone() {
			s.has[held{id, a.Target}] = true
			somebody = true
		}
	}
	if a.Kind == org.GroupOfAWS {
		_, known := s.m.Group(a.Principal)
		return somebody && known
	}
	return somebody
}

func sorted(accounts map[org.AccountID]bool) []string {
	list := make([]string, 0, len(accounts))
	for id := range accounts {
		list = append(list, string(id))
	}
	slices.Sort(list)
	return list
}

func (s *suggester) add(found map[string]*suggested, kind org.PrincipalKind, id string, g guess, arns, accounts []string) {
	what := fmt.Sprintf("%s %d %s|%s|%s", g.long, g.approvals, g.why, strings.Join(arns, " "), strings.Join(accounts, " "))
	key := "0 people|" + what
	if kind == org.GroupOfAWS {
		key = "1 " + id + "|" + what
	}
	r := found[key]
	if r == nil {
		r = &suggested{guess: g}
		for _, arn := range arns {
			set, _ := s.m.PermissionSet(arn)
			r.sets = append(r.sets, set)
		}
		slices.SortFunc(r.sets, func(a, b org.PermissionSet) int { return strings.Compare(a.Name, b.Name) })
		for _, a := range accounts {
			account, _ := s.m.Account(org.AccountID(a))
			r.accounts = append(r.accounts, account)
		}
		found[key] = r
	}
	if kind == org.GroupOfAWS {
		group, _ := s.m.Group(id)
		r.group = &group
		return
	}
	p, _ := s.m.Person(org.PersonID(id))
	r.people = append(r.people, p)
	slices.SortFunc(r.people, func(a, b org.Person) int { return cmp.Or(strings.Compare(a.User, b.User), cmp.Compare(a.ID, b.ID)) })
}

func (r suggested) whose() string {
	if r.group != nil {
		return r.group.Name
	}
	return r.people[0].User
}

var (
	strongNames    = regexp.MustCompile(`(?i)admin|root|full|owner|billing|(^|[^a-z])iam`)
	readingNames   = regexp.MustCompile(`(?i)read|view|audit|support`)
	sensitivePlace = regexp.MustCompile(`(?i)prod|live|security|audit|log|backup|identity|payment|billing|master|management|regulated`)
	testingPlace   = regexp.MustCompile(`(?i)non-?prod|pre-?prod|dev|test|sandbox|stag`)
	approverNames  = regexp.MustCompile(`(?i)approv`)
	leadNames      = regexp.MustCompile(`(?i)lead|owner|manager|admin|security|sre`)
)

// guess judges by names: how strong the permission set looks, and how sensitive the account.
func (s *suggester) guess(set org.PermissionSet, a org.Account) guess {
	where := a.Name + " " + s.m.Path(a.Parent) + " " + a.Tags["env"] + " " + a.Tags["environment"]
	sensitive := a.ID == s.m.Organization().ManagementAccount || sensitivePlace.MatchString(where) && !testingPlace.MatchString(where)
	strong, reads := strongNames.MatchString(set.Name), readingNames.MatchString(set.Name)
	switch {
	case a.ID == s.m.Organization().ManagementAccount && !(reads && !strong):
		return guess{time.Hour, 2, "the management account: everything depends on it"}
	case strong && sensitive:
		return guess{time.Hour, 2, "a strong permission set in what looks like a sensitive place"}
	case strong:
		return guess{time.Hour, 1, "a strong permission set"}
	case reads:
		return guess{8 * time.Hour, 0, "it looks as if it only reads"}
	case sensitive:
		return guess{4 * time.Hour, 1, "it may change things in what looks like a sensitive place"}
	}
	return guess{8 * time.Hour, 0, "it may change things, but the place does not look sensitive"}
}

// approvers finds who could approve: a group that is called so, or peers. need is how many of them it can take.
func (s *suggester) approvers(r suggested) (g *org.Group, need int, why string) {
	if r.approvals == 0 {
		return nil, 0, ""
	}
	groups := slices.Clone(s.m.Organization().Groups)
	slices.SortFunc(groups, func(a, b org.Group) int { return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	for _, pattern := range []*regexp.Regexp{approverNames, leadNames} {
		for _, group := range groups {
			if n := s.enabled(group.ID); n > r.approvals && pattern.MatchString(group.Name) {
				return &group, r.approvals, "by its name, " + group.Name + " could approve"
			}
		}
	}
	if r.group != nil && s.enabled(r.group.ID) > 1 {
		return r.group, 1, "no group is called so that it could approve, so peers do"
	}
	return nil, 0, "NOBODY IS THERE WHO COULD APPROVE, so it is automatic: think about this one first"
}

func (s *suggester) enabled(g org.GroupID) int {
	n := 0
	for _, id := range s.m.Members(g) {
		if p, ok := s.m.Person(id); ok && p.Status == org.StatusEnabled {
			n++
		}
	}
	return n
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// nameOf makes a name that no other rule has: who, and what if it is short.
func (s *suggester) nameOf(r suggested) string {
	words := r.whose()
	for _, set := range r.sets[:min(2, len(r.sets))] {
		words += "-" + set.Name
	}
	base := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(words), "-"), "-")
	base = strings.Trim(base[:min(56, len(base))], "-")
	if base == "" {
		base = "standing"
	}
	name := base
	for n := 2; s.names[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	s.names[name] = true
	return name
}

// write writes rules and their tests as YAML.
func (s *suggester) write(list []suggested) []byte {
	var rules, tests bytes.Buffer
	for _, r := range list {
		group, need, note := s.approvers(r)
		fmt.Fprintf(&rules, "  # %s.\n", oneLine(r.why))
		if note != "" {
			fmt.Fprintf(&rules, "  # %s.\n", oneLine(note))
		}
		fmt.Fprintf(&rules, "  - name: %s\n    who: %s\n    what: {permission-sets: %s}\n    where: %s\n    for: %s\n", word(r.name), s.who(r), s.what(r), s.where(r), Short(r.long))
		if group == nil {
			fmt.Fprint(&rules, "    approval: {automatic: true}\n\n")
		} else {
			fmt.Fprintf(&rules, "    approval: {need: %d, groups: [%s]}\n\n", need, word(s.groupWord(*group)))
		}
		s.test(&tests, r)
	}
	head := "# Suggested from standing assignments: who has something now may ask for it, and nobody else. Approvals and durations are guesses\n" +
		"# by name and place; read them before you put them in force. When they are, take the standing assignments away.\n\nrules:\n"
	return []byte(head + rules.String() + "tests:\n" + tests.String())
}

func (s *suggester) who(r suggested) string {
	if r.group != nil {
		return "{groups: [" + word(s.groupWord(*r.group)) + "]}"
	}
	words := make([]string, len(r.people))
	for i, p := range r.people {
		words[i] = word(s.personWord(p))
	}
	return "{people: [" + strings.Join(words, ", ") + "]}"
}

func (s *suggester) what(r suggested) string {
	words := make([]string, len(r.sets))
	for i, set := range r.sets {
		words[i] = word(s.setWord(set))
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// where names the smallest OU that holds exactly the accounts, or the accounts. A single account is always named by its id.
func (s *suggester) where(r suggested) string {
	ids := make([]org.AccountID, len(r.accounts))
	for i, a := range r.accounts {
		ids[i] = a.ID
	}
	slices.Sort(ids)
	for _, ou := range s.deep {
		if len(ids) > 1 && slices.Equal(s.below[ou], ids) {
			return "{ous: [" + word(s.ouWord(ou)) + "]}"
		}
	}
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = fmt.Sprintf("%q", string(id))
	}
	return "{accounts: [" + strings.Join(words, ", ") + "]}"
}

// Names are written where they find what is meant; where two things share one, the id is.
func (s *suggester) groupWord(g org.Group) string {
	if found, ok := s.m.Group(g.Name); ok && found.ID == g.ID && g.Name != "" {
		return g.Name
	}
	return string(g.ID)
}

func (s *suggester) personWord(p org.Person) string {
	if found, ok := s.m.PersonNamed(p.User); ok && found.ID == p.ID && p.User != "" {
		return p.User
	}
	return string(p.ID)
}

func (s *suggester) setWord(set org.PermissionSet) string {
	if found, ok := s.m.PermissionSet(set.Name); ok && found.ARN == set.ARN && set.Name != "" {
		return set.Name
	}
	return set.ARN
}

func (s *suggester) ouWord(ou org.OUID) string {
	path := s.m.Path(ou)
	if path == "" {
		path = "/"
	}
	if found, ok := s.m.OU(path); ok && found == ou {
		return path
	}
	return string(ou)
}

// test writes that somebody of a rule may have what it lends, and that somebody who has it not now may not.
func (s *suggester) test(into *bytes.Buffer, r suggested) {
	people := r.people
	if r.group != nil {
		for _, id := range s.m.Members(r.group.ID) {
			if p, ok := s.m.Person(id); ok {
				people = append(people, p)
			}
		}
	}
	target := org.Target{Account: r.accounts[0].ID, PermissionSet: r.sets[0].ARN}
	has := slices.IndexFunc(people, func(p org.Person) bool { return s.has[held{p.ID, target}] })
	what := inSentence(s.setWord(r.sets[0]), r.sets[0].ARN) + " in " + string(target.Account)
	if has >= 0 {
		fmt.Fprintf(into, "  - %s\n", word(fmt.Sprintf("%s may have %s for %s", inSentence(s.personWord(people[has]), string(people[has].ID)), what, Short(r.long))))
	}
	for _, p := range s.m.Organization().People {
		if !p.Status.Gone() && !s.has[held{p.ID, target}] {
			fmt.Fprintf(into, "  - %s\n", word(fmt.Sprintf("%s may not have %s", inSentence(s.personWord(p), string(p.ID)), what)))
			return
		}
	}
}

// inSentence writes a name as one word of a test; one that holds a quotation mark is written as its id.
func inSentence(name, id string) string {
	switch {
	case strings.Contains(name, `"`):
		return id
	case strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }):
		return `"` + name + `"`
	}
	return name
}

var plainWord = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_/-]*$`)

// word writes a text as a YAML scalar: plain where that can mean nothing else, or else as a JSON string, which YAML reads.
func word(text string) string {
	switch strings.ToLower(text) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
	default:
		if plainWord.MatchString(text) {
			return text
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		return `""` // of a string there is always a JSON
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// oneLine keeps a comment a comment, whatever names are in it.
func oneLine(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == 0x85 || c == 0x2028 || c == 0x2029 {
			return ' '
		}
		return c
	}, text)
}
