package access

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"sparekey/audit"
	"sparekey/org"
)

// A session kill is a deny in a service control policy, for a person in the role of one permission set in one account. Taking
// access away does not end sessions, and Identity Center has no call that does; see [RenderKills] for what is written, and
// docs/kills.md for what it does not reach. Sparekey knows what it sent, and never whether a session is dead.

// KillState is where a session kill stands.
type KillState string

// The states of a session kill.
const (
	KillWanted    KillState = "wanted"    // recorded; no policy with it was taken by AWS
	KillSent      KillState = "sent"      // AWS took a policy that denies, whenever the session began
	KillTightened KillState = "tightened" // AWS took one that denies only what began before the removal
	KillExpired   KillState = "expired"   // no such session can live any longer; AWS took a policy without it
)

var killStates = []KillState{"", KillWanted, KillSent, KillTightened, KillExpired}

type killCommand string

const (
	wantKill    killCommand = "want"
	removedKill killCommand = "removed"   // what it is about was confirmed to be gone
	returned    killCommand = "returned"  // what was gone came back, and is taken away again
	sendKill    killCommand = "send"      // AWS took a policy with it
	tightenKill killCommand = "tighten"   // AWS took a policy with it and the time of the removal
	crowdKill   killCommand = "crowd out" // AWS took a policy in which there was no room for it
	hinderKill  killCommand = "hinder"    // AWS did not take it
	expireKill  killCommand = "expire"
)

var killTable = table[KillState, killCommand]{
	"": {wantKill: {KillWanted, "kill.wanted"}},
	KillWanted: {
		removedKill: {KillWanted, "kill.removed"},
		returned:    {KillWanted, "kill.returned"},
		sendKill:    {KillSent, "kill.sent"},
		tightenKill: {KillTightened, "kill.tightened"},
		crowdKill:   {KillWanted, "kill.crowded"},
		hinderKill:  {KillWanted, "kill.hindered"},
		expireKill:  {KillExpired, "kill.expired"},
	},
	KillSent: {
		removedKill: {KillSent, "kill.removed"},
		returned:    {KillSent, "kill.returned"},
		sendKill:    {KillSent, "kill.sent"},
		tightenKill: {KillTightened, "kill.tightened"},
		crowdKill:   {KillWanted, "kill.crowded"},
		hinderKill:  {KillSent, "kill.hindered"},
		expireKill:  {KillExpired, "kill.expired"},
	},
	KillTightened: {
		returned:    {KillTightened, "kill.returned"},
		sendKill:    {KillSent, "kill.sent"},
		tightenKill: {KillTightened, "kill.tightened"},
		crowdKill:   {KillWanted, "kill.crowded"},
		hinderKill:  {KillTightened, "kill.hindered"},
		expireKill:  {KillExpired, "kill.expired"},
	},
	KillExpired: {},
}

// Kill is a session kill.
type Kill struct {
	ID       string      `json:"id"`
	Version  int64       `json:"version"`
	State    KillState   `json:"state"`
	Person   Named       `json:"person"`
	Target   *Place      `json:"target,omitempty"` // none: whatever the person is signed in to
	Grants   []string    `json:"grants"`           // which must be over before it can be tightened
	By       audit.Actor `json:"by"`
	Why      string      `json:"why,omitempty"`
	WantedAt time.Time   `json:"wantedAt"`

	// Before is the confirmed removal, to the second after it: AWS issues sessions in whole seconds. Sessions that were issued
	// before it are meant, and no others. Until the removal is confirmed it is zero, and all are.
	Before      time.Time `json:"before,omitzero"`
	SentAt      time.Time `json:"sentAt,omitzero"`
	TightenedAt time.Time `json:"tightenedAt,omitzero"`
	ExpiredAt   time.Time `json:"expiredAt,omitzero"`
	Cover       Cover     `json:"cover,omitempty"` // in the policy that AWS took last

	Trouble string    `json:"trouble,omitempty"`
	Tries   int       `json:"tries,omitempty"` // in a row without success
	NextTry time.Time `json:"nextTry,omitzero"`
}

// Cover says how a policy covers a kill.
type Cover string

// The ways in which a policy covers a kill.
const (
	CoverNone   Cover = ""       // not at all: there was no room
	CoverPerson Cover = "person" // by a statement of its own
	CoverSet    Cover = "set"    // by one for everybody who signed in with the permission set, in whichever account
)

// SessionMostOfSet is the longest that a session of a permission set lives ("Set session duration for AWS accounts", IAM
// Identity Center User Guide).
const SessionMostOfSet = 12 * time.Hour

var (
	personPattern = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)       // neither wildcards nor policy variables
	setPattern    = regexp.MustCompile(`^[0-9A-Za-z_+=,.@-]{1,32}$`) // "PermissionSet", IAM Identity Center API Reference
)

// WantKill records that the sessions are to die that were made under grants of one access: one grant, and those that extend
// it. management is the management account, in which no service control policy has an effect.
func WantKill(id string, grants []Grant, management org.AccountID, by audit.Actor, why string, now time.Time) (Change, error) {
	g := grants[0]
	switch set := g.Target; {
	case g.Way == Session:
		return Change{}, problem(ErrInvalid, "sessions of %s carry their own end, at most an hour after they were handed out; a kill does not reach them", g.ID)
	case g.Target.Account == management:
		return Change{}, problem(ErrInvalid, "%s is the management account, which no service control policy reaches: its sessions cannot be killed", g.Target.AccountName)
	case !setPattern.MatchString(set.PermissionSetName) || !org.ValidAccountID(string(set.Account)):
		return Change{}, problem(ErrInvalid, "%q in %q is not a permission set that a policy can name", set.PermissionSetName, set.Account)
	}
	target := g.Target
	return want(Kill{ID: id, Person: g.Person, Target: &target, Grants: idsOf(grants)}, by, why, now)
}

// WantPersonKill records that all sessions of a person are to die that were made with any permission set. grants are those of
// the person that are being ended with it; what others gave the person is denied as well until they are gone.
func WantPersonKill(id string, p Named, grants []Grant, by audit.Actor, why string, now time.Time) (Change, error) {
	return want(Kill{ID: id, Person: p, Grants: idsOf(grants)}, by, why, now)
}

func idsOf(grants []Grant) []string {
	ids := make([]string, len(grants))
	for i, g := range grants {
		ids[i] = g.ID
	}
	slices.Sort(ids)
	return ids
}

func want(k Kill, by audit.Actor, why string, now time.Time) (Change, error) {
	if err := checkText("the reason", why); err != nil {
		return Change{}, err
	}
	if !personPattern.MatchString(string(k.Person.ID)) {
		return Change{}, problem(ErrInvalid, "%q is not a person's id that a policy can name", k.Person.ID)
	}
	now = moment(now)
	c, err := k.turn(wantKill, by, now, detail{"why": why}, func(n *Kill) { n.By, n.Why, n.WantedAt, n.NextTry = by, why, now, now })
	c.Promises = []Promise{{Kind: PromiseKill, Subject: k.ID, At: now}}
	return c, err
}

func (k Kill) turn(command killCommand, by audit.Actor, now time.Time, d detail, edit func(*Kill)) (Change, error) {
	step, err := killTable.take(k.State, command)
	if err != nil {
		return Change{}, err
	}
	var before *audit.Image
	if k.State != "" {
		if before, err = audit.ImageOf(string(k.State), k.Version, k); err != nil {
			return Change{}, err
		}
	}
	next := k
	next.State = step.to
	edit(&next)
	next.Version++
	after, err := audit.ImageOf(string(next.State), next.Version, next)
	if err != nil {
		return Change{}, err
	}
	return Change{Kills: []Kill{next}, Events: []audit.Event{{
		At: now, Kind: step.event, Actor: by, Subject: audit.Subject{Kind: "kill", ID: k.ID}, Before: before.Bare(), After: after, Detail: d,
	}}}, nil
}

// Open reports whether the policy may still have to do with the kill.
func (k Kill) Open() bool { return k.State != KillExpired }

// Same reports whether another kill is about the same sessions, as far as is known: neither removal was confirmed, and the
// other waits for every grant that this one waits for.
func (k Kill) Same(o Kill) bool {
	if slices.ContainsFunc(k.Grants, func(id string) bool { return !slices.Contains(o.Grants, id) }) {
		return false
	}
	return k.Open() && o.Open() && k.Before.IsZero() && o.Before.IsZero() && k.key() == o.key()
}

// killKey is what kills must share to be one statement.
type killKey struct {
	partition, person string
	account, set      string // empty: all
}

func (k Kill) key() killKey {
	if k.Target == nil {
		return killKey{person: string(k.Person.ID)}
	}
	partition := "aws"
	if arn, err := org.ParseARN(k.Target.PermissionSet); err == nil {
		partition = arn.Partition
	}
	return killKey{partition, string(k.Person.ID), string(k.Target.Account), k.Target.PermissionSetName}
}

// ExpiresAt is when the last session is over that the kill is about; the zero time while that is not known.
func (k Kill) ExpiresAt() time.Time {
	if k.Before.IsZero() {
		return time.Time{}
	}
	lives := SessionMostOfSet
	if k.Target != nil && k.Target.SessionMinutes > 0 {
		lives = min(lives, time.Duration(k.Target.SessionMinutes)*time.Minute)
	}
	return k.Before.Add(lives)
}

// live reports whether a session that the kill is about may be alive.
func (k Kill) live(now time.Time) bool {
	at := k.ExpiresAt()
	return k.Open() && (at.IsZero() || now.Before(at))
}

// Look records whether what the kill is about is confirmed to be gone: grants are those that it names, as they are now.
// Something that landed late, and is taken away again, opens it again.
func (k Kill) Look(grants []Grant, now time.Time) (Change, error) {
	var gone time.Time
	for _, g := range grants {
		if g.Live() {
			gone = time.Time{}
			break
		}
		gone = latest(gone, g.EndedAt)
	}
	if len(grants) == 0 {
		gone = k.WantedAt
	}
	if t := gone.Truncate(time.Second); !gone.IsZero() && t.Before(gone) {
		gone = t.Add(time.Second)
	}
	switch {
	case !k.Open() || gone.Equal(k.Before):
		return Change{}, nil
	case gone.IsZero():
		return k.turn(returned, partActor("kill"), moment(now), nil, func(n *Kill) { n.Before, n.NextTry = gone, moment(now) })
	case k.State == KillTightened: // it came back, and went, between two looks
		return k.turn(returned, partActor("kill"), moment(now), detail{"before": gone.Format(time.RFC3339)}, func(n *Kill) {
			n.Before, n.Cover, n.NextTry = gone, CoverNone, moment(now)
		})
	}
	return k.turn(removedKill, partActor("kill"), moment(now), detail{"before": gone.Format(time.RFC3339)}, func(n *Kill) { n.Before, n.NextTry = gone, moment(now) })
}

// Told records what the policy that AWS has now means for the kill. p was rendered of kills of which this was one, as it is.
func (k Kill) Told(p KillPolicy, now time.Time) (Change, error) {
	now = moment(now)
	cover, within := p.Covers[k.ID]
	lane := func(command killCommand, edit func(*Kill)) (Change, error) {
		return k.turn(command, partActor("kill"), now, detail{"cover": string(cover), "policy": audit.DigestOf([]byte(p.Text))}, func(n *Kill) {
			n.Cover, n.Trouble, n.Tries, n.NextTry = cover, "", 0, time.Time{}
			edit(n)
		})
	}
	helped := k.Cover == cover && k.Trouble == ""
	switch {
	case !k.Open():
		return Change{}, nil
	case !within:
		return lane(expireKill, func(n *Kill) { n.ExpiredAt = now })
	case cover == CoverNone && k.State == KillWanted && k.Trouble == crowded:
		return Change{}, nil
	case cover == CoverNone:
		return lane(crowdKill, func(n *Kill) { n.Trouble = crowded })
	case k.Before.IsZero() && (k.State != KillSent || !helped):
		return lane(sendKill, func(n *Kill) { n.SentAt, n.TightenedAt = now, time.Time{} })
	case !k.Before.IsZero() && (k.State != KillTightened || !helped):
		return lane(tightenKill, func(n *Kill) {
			n.TightenedAt = now
			if n.SentAt.IsZero() {
				n.SentAt = now
			}
		})
	}
	return Change{}, nil
}

const crowded = "there is no room for it in the policy; its sessions live until they end by themselves"

// Hinder records that AWS did not take the policy. It is tried again, later and later, at most five minutes apart.
func (k Kill) Hinder(trouble error, now time.Time) (Change, error) {
	if !k.Open() {
		return Change{}, nil
	}
	now = moment(now)
	return k.turn(hinderKill, partActor("kill"), now, detail{"aws": clip(trouble.Error())}, func(n *Kill) {
		n.Trouble, n.NextTry = clip(trouble.Error()), now.Add(min(5*time.Second<<min(n.Tries, 10), 5*time.Minute))
		n.Tries++
	})
}

// Says tells people what is known of the kill: what was sent, and who is not covered or is hit beside. It never says that a
// session is dead, since nobody can know.
func (k Kill) Says() string {
	switch k.State {
	case KillWanted:
		if k.Trouble == "" {
			return "not sent yet"
		}
		return "not sent: " + k.Trouble
	case KillExpired:
		return "over: no session from before the removal can live any longer"
	case KillSent, KillTightened:
	}
	var text string
	switch {
	case k.Cover == CoverSet && k.State == KillSent:
		text = fmt.Sprintf("sent for everybody's sessions of %s, in every account, that began before %s; what %s began after that is not covered until the removal is confirmed",
			k.Target.PermissionSetName, k.WantedAt.UTC().Format(time.TimeOnly), k.Person.User)
	case k.Cover == CoverSet:
		text = fmt.Sprintf("sent for everybody's sessions of %s, in every account, that began before the removal; others must sign in again", k.Target.PermissionSetName)
	case k.State == KillSent:
		text = "sent: denies everything, also to sessions that begin now, until the removal is confirmed"
	default:
		text = "sent: denies everything to sessions from before the removal at " + k.Before.UTC().Format(time.TimeOnly) + "Z"
	}
	if k.Trouble != "" {
		text += "; a later change is not: " + k.Trouble
	}
	return text
}
