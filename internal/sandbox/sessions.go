package sandbox

import (
	"fmt"
	"maps"
	"time"

	"sparekey/internal/sandbox/sigv4"
	"sparekey/internal/sandbox/world"
	"sparekey/org"
)

// sessions is what people and their programs are signed in with.
type sessions struct {
	clients map[string]*client
	devices map[string]*device       // by device code
	tokens  map[string]*portalToken  // access tokens
	refresh map[string]*refreshToken // refresh tokens
}

func newSessions() sessions {
	return sessions{map[string]*client{}, map[string]*device{}, map[string]*portalToken{}, map[string]*refreshToken{}}
}

// client is a program that has registered.
type client struct {
	id, secret string
	expires    time.Time
	grants     []string // empty: it did not say
	refreshes  bool
}

// device is a sign-in that a person has been asked to confirm.
type device struct {
	code, userCode string
	client         string
	expires        time.Time
	polled         time.Time
	person         org.PersonID // who confirmed it, if anybody has
	denied         bool
}

// signIn is a session of the access portal. It ends for all its tokens at once.
type signIn struct {
	person org.PersonID
	ends   time.Time
	over   bool // logged out
}

type portalToken struct {
	*signIn
	expires time.Time
}

type refreshToken struct {
	*signIn
	client string
}

// crowd is how many clients or devices there may be at one time. Anybody may register, so something must bound it.
const crowd = 10_000

// prune forgets what has expired.
func (s *sessions) prune(now time.Time) {
	over := func(in *signIn) bool { return in.over || !now.Before(in.ends) }
	maps.DeleteFunc(s.clients, func(_ string, c *client) bool { return !now.Before(c.expires) })
	maps.DeleteFunc(s.devices, func(_ string, d *device) bool { return now.Sub(d.expires) > time.Hour }) // so long it is known as expired
	maps.DeleteFunc(s.tokens, func(_ string, t *portalToken) bool { return over(t.signIn) || !now.Before(t.expires) })
	maps.DeleteFunc(s.refresh, func(_ string, t *refreshToken) bool { return over(t.signIn) })
}

// Confirm lets a person sign in to the device that shows the user code, as they would in a browser.
func (s *Sandbox) Confirm(userCode string, person org.PersonID) error {
	return s.decide(userCode, func(d *device) error {
		p, ok := s.world.Person(person)
		switch {
		case !ok:
			return fmt.Errorf("the person %s: %w", person, world.ErrNotFound)
		case p.Status.Gone():
			return fmt.Errorf("%s is %s and cannot sign in", p.User, p.Status)
		}
		d.person = person
		return nil
	})
}

// Deny refuses the sign-in of the device that shows the user code.
func (s *Sandbox) Deny(userCode string) error {
	return s.decide(userCode, func(d *device) error { d.denied = true; return nil })
}

func (s *Sandbox) decide(userCode string, how func(*device) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.settle()
	for _, d := range s.sessions.devices {
		if d.userCode == userCode && now.Before(d.expires) && d.person == "" && !d.denied {
			return how(d)
		}
	}
	return fmt.Errorf("no device waits with the user code %q", userCode)
}

// vend makes an access key for a role that a person has opened. It works until it expires, whatever becomes of the
// assignment: AWS does not take sessions back.
func (s *Sandbox) vend(now time.Time, role world.Role, set *world.PermissionSet, p *world.Person) (Credentials, time.Time) {
	expires := now.Add(set.Session)
	holder := s.session(role.Account, role.Name, role.ID, p.User)
	holder.person, holder.role, holder.issued = p.ID, role.ARN, now.Truncate(time.Second)
	return s.open(now, expires, holder), expires
}

// session is who holds a session of a role.
func (s *Sandbox) session(account org.AccountID, role, id, name string) caller {
	arn := org.ARN{Partition: s.world.Partition, Service: "sts", Account: string(account), Resource: "assumed-role/" + role + "/" + name}
	return caller{account: account, user: id + ":" + name, arn: arn.String(), session: true}
}

// open makes a session's access key.
func (s *Sandbox) open(now, expires time.Time, holder caller) Credentials {
	maps.DeleteFunc(s.keys, func(_ string, k key) bool {
		return !k.Expires.IsZero() && now.Sub(k.Expires) > 24*time.Hour // so long it is known as expired
	})
	made := Credentials{s.source.KeyID("ASIA"), s.source.Secret("role secret")[:40], s.source.Secret("session token") + s.source.Secret("session token")}
	s.keys[made.AccessKeyID] = key{sigv4.Key{Secret: made.SecretAccessKey, SessionToken: made.SessionToken, Expires: expires}, holder}
	return made
}
