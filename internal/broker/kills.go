package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store"
	"sparekey/org"
)

// KillPolicy is the one service control policy that holds session kills. Each method makes one call, or pages.
type KillPolicy interface {
	// Read returns what the policy is.
	Read(ctx context.Context) (string, error)
	// Write replaces it.
	Write(ctx context.Context, text string) error
	// Targets lists the ids of what it is attached to.
	Targets(ctx context.Context) ([]string, error)
}

// KillSettings say where session kills are sent, and how much room there is.
type KillSettings struct {
	Policy      KillPolicy // nil: none are sent
	Size        int        // characters of the policy; zero means [access.KillSize]
	EmergencyOU org.OUID   // where the policy must not be in effect
}

// killing is the state of sending session kills in this process.
type killing struct {
	sync.Mutex
	looked time.Time // when the policy was last asked for
}

const (
	killLease     = "session kills"
	killLookEvery = 5 * time.Minute // also without anything to send: somebody may have changed the policy
)

// Killed is what became of the wish to kill sessions: a kill, or why there is none.
type Killed struct {
	Kill   *access.Kill
	WhyNot string
}

// EndAndKill ends a grant as [Broker.End] does, and has the sessions killed that it made possible. The grant may be over
// already, as long as its sessions may live. The grant's person and administrators may. That no kill can be sent is no reason
// not to end the grant: then the answer says why.
func (b *Broker) EndAndKill(ctx context.Context, id, why string) (access.Grant, Killed, error) {
	by, err := b.person(ctx)
	var g access.Grant
	var killed Killed
	if err == nil {
		_, err = b.update(ctx, func(tx *store.Tx) (access.Change, error) {
			var c access.Change
			g, c, killed, err = b.endAndKill(tx, by, actorOf(ctx, by), id, why)
			return c, err
		})
	}
	if err != nil {
		return access.Grant{}, Killed{}, b.refuse(ctx, "kill", audit.Subject{Kind: "grant", ID: id}, found(err, "grant", id))
	}
	one := []access.Grant{g}
	b.lengthen(one)
	return one[0], killed, nil
}

func (b *Broker) endAndKill(tx *store.Tx, by org.Person, actor audit.Actor, id, why string) (g access.Grant, c access.Change, killed Killed, err error) {
	if g, err = tx.Grant(id); err != nil {
		return g, c, killed, err
	}
	if not := g.MayEnd(by); !b.stops(by) && by.ID != g.Person.ID {
		switch {
		case not != "" && !b.sees(by):
			err = unknown("grant", id)
		case not != "":
			err = &access.Problem{Kind: access.ErrRefused, Message: not}
		default:
			err = &access.Problem{Kind: access.ErrRefused, Message: "administrators and security may kill the sessions of a grant, and whoever holds it", Hint: "without the kill, you may end it"}
		}
		return g, c, killed, err
	}
	over := !g.Live()
	if over {
		one := []access.Grant{g}
		b.lengthen(one)
		if last, _ := one[0].LastMinute(b.Now()); !last.After(b.Now()) {
			_, err = g.EndIt(actor, why, b.Now()) // which says that it is over, and since when
			return g, c, killed, err
		}
	} else if c, err = b.endChain(tx, g, actor, why); err != nil {
		return g, c, killed, err
	} else if len(c.Grants) > 0 && c.Grants[0].ID == g.ID {
		g = c.Grants[0]
	}
	kill, killed, err := b.killOf(tx, g, c.Grants, actor, why)
	if err == nil && killed.WhyNot != "" && over {
		err = &access.Problem{Kind: access.ErrInvalid, Message: killed.WhyNot, Hint: "docs/kills.md says what a kill reaches"}
	}
	return g, c.And(kill), killed, err
}

// killOf records that the sessions of a grant are to be killed, unless that is recorded already. ending are the grants that end
// in the same transaction.
func (b *Broker) killOf(tx *store.Tx, g access.Grant, ending []access.Grant, by audit.Actor, why string) (access.Change, Killed, error) {
	if b.KillPolicy.Policy == nil {
		return access.Change{}, Killed{WhyNot: "session kills are not set up on this server: `session-kill` in its configuration"}, nil
	}
	of, err := tx.GrantsOf(g.Person.ID, mostHeld)
	if err != nil {
		return access.Change{}, Killed{}, err
	}
	about := []access.Grant{g} // and whatever lends the same and is being ended: the removal is the last of theirs
	for _, o := range append(of, ending...) {
		if o.Target.Target == g.Target.Target && o.End != nil && o.Live() && !slices.ContainsFunc(about, func(k access.Grant) bool { return k.ID == o.ID }) {
			about = append(about, o)
		}
	}
	b.lengthen(about[:1])
	c, err := access.WantKill(b.newID("kill"), about, b.ManagementAccount(), by, why, b.Now())
	var p *access.Problem
	switch {
	case errors.As(err, &p) && errors.Is(err, access.ErrInvalid):
		return access.Change{}, Killed{WhyNot: p.Message}, nil
	case err != nil:
		return c, Killed{}, err
	}
	open, err := tx.OpenKills()
	if err != nil {
		return c, Killed{}, err
	}
	if i := slices.IndexFunc(open, c.Kills[0].Same); i >= 0 {
		return access.Change{}, Killed{Kill: &open[i]}, nil
	}
	return c, Killed{Kill: &c.Kills[0]}, nil
}

// killPerson records that all sessions of a person are to be killed who is being stopped: see [access.WantPersonKill].
func (b *Broker) killPerson(tx *store.Tx, p access.Named, by audit.Actor, why string) (access.Change, Killed, error) {
	if b.KillPolicy.Policy == nil {
		return access.Change{}, Killed{WhyNot: "session kills are not set up on this server: `session-kill` in its configuration"}, nil
	}
	of, err := tx.GrantsOf(p.ID, mostHeld)
	if err != nil {
		return access.Change{}, Killed{}, err
	}
	of = slices.DeleteFunc(of, func(g access.Grant) bool { return !g.Live() })
	c, err := access.WantPersonKill(b.newID("kill"), p, of, by, why, b.Now())
	if err != nil {
		return c, Killed{}, err
	}
	open, err := tx.OpenKills()
	if err != nil {
		return c, Killed{}, err
	}
	if i := slices.IndexFunc(open, c.Kills[0].Same); i >= 0 {
		return access.Change{}, Killed{Kill: &open[i]}, nil
	}
	return c, Killed{Kill: &c.Kills[0]}, nil
}

// SendKills brings the policy to what the kills of the database want: it looks which removals were confirmed, renders the
// policy, compares it with what AWS has, and writes it if that is another. One replica does so at a time; a death in between
// leaves rows from which the same follows. later is when to come back if another replica is at it.
func (b *Broker) SendKills(ctx context.Context) (later time.Duration, err error) {
	if b.KillPolicy.Policy == nil {
		return 0, nil
	}
	ctx = audit.By(ctx, "kill")
	b.killing.Lock()
	defer b.killing.Unlock()
	kills, err := b.lookAtKills(ctx)
	if err != nil || !b.killsDue(kills) {
		return 0, err
	}
	if held, err := b.takeKillLease(ctx); err != nil || !held {
		return time.Second, err
	}
	err = b.sendKills(ctx)
	return 0, errors.Join(err, b.Store.DropLease(context.WithoutCancel(ctx), killLease, b.holder))
}

func (b *Broker) takeKillLease(ctx context.Context) (bool, error) {
	now := b.Now()
	_, ok, err := b.Store.TakeLease(ctx, killLease, b.holder, now, now.Add(leaseTime))
	return ok, err
}

// killsDue reports whether AWS is to be asked now.
func (b *Broker) killsDue(kills []access.Kill) bool {
	now := b.Now()
	return now.Sub(b.killing.looked) >= killLookEvery || slices.ContainsFunc(kills, func(k access.Kill) bool {
		at := k.ExpiresAt()
		return k.NextTry.IsZero() && !at.IsZero() && !now.Before(at) || !k.NextTry.IsZero() && !now.Before(k.NextTry)
	})
}

// lookAtKills records which removals were confirmed, and returns the kills that are open.
func (b *Broker) lookAtKills(ctx context.Context) (open []access.Kill, err error) {
	looked := func(tx *store.Tx, k access.Kill) (access.Change, error) {
		grants := make([]access.Grant, len(k.Grants))
		for i, id := range k.Grants {
			if grants[i], err = tx.Grant(id); err != nil {
				return access.Change{}, fmt.Errorf("reading the grants of %s: %w", k.ID, err)
			}
		}
		return k.Look(grants, b.Now())
	}
	changed := map[string]bool{}
	err = b.Store.View(ctx, func(tx *store.Tx) (err error) {
		if open, err = tx.OpenKills(); err != nil {
			return err
		}
		for _, k := range open {
			c, err := looked(tx, k)
			if err != nil {
				return err
			}
			changed[k.ID] = len(c.Kills) > 0
		}
		return nil
	})
	for i, k := range open {
		if err != nil || !changed[k.ID] {
			continue
		}
		_, err = b.update(ctx, func(tx *store.Tx) (access.Change, error) {
			if open[i], err = tx.Kill(k.ID); err != nil {
				return access.Change{}, err
			}
			c, err := looked(tx, open[i])
			if len(c.Kills) > 0 {
				open[i] = c.Kills[0]
			}
			return c, err
		})
	}
	return open, err
}

// sendKills does it, under the lease.
func (b *Broker) sendKills(ctx context.Context) error {
	var open []access.Kill
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { open, err = tx.OpenKills(); return err }); err != nil {
		return err
	}
	size := b.KillPolicy.Size
	if size == 0 {
		size = access.KillSize
	}
	b.killing.looked = b.Now() // also where it fails: each kill says when it is tried again
	wanted := access.RenderKills(open, size, b.Now())
	if err := b.writeKills(ctx, wanted.Text); err != nil {
		b.Log.Error("session kills were not sent; they are tried again", "kills", len(open), "error", err)
		return b.eachKill(ctx, open, func(k access.Kill) (access.Change, error) { return k.Hinder(err, b.Now()) })
	}
	return b.eachKill(ctx, open, func(k access.Kill) (access.Change, error) { return k.Told(wanted, b.Now()) })
}

var errKillLease = errors.New("another replica has taken over")

// writeKills writes the policy if AWS has another. A policy that is not one of session kills is left alone.
func (b *Broker) writeKills(ctx context.Context, text string) error {
	has, err := timed(ctx, b.CallTimeout, b.KillPolicy.Policy.Read)
	if err != nil {
		return err
	}
	if _, err := access.ReadKillPolicy(has); err != nil {
		return err
	}
	if access.SamePolicy(has, text) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.CallTimeout) // from before the lease: who was paused writes nothing any more
	defer cancel()
	if held, err := b.takeKillLease(ctx); err != nil || !held {
		return errors.Join(errKillLease, err)
	}
	_, err = timed(ctx, b.CallTimeout, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, b.KillPolicy.Policy.Write(ctx, text)
	})
	return err
}

// timed makes one call of AWS within the time that a call may take.
func timed[T any](ctx context.Context, limit time.Duration, do func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return do(ctx)
}

// eachKill turns kills as they were read; one that has changed since is left to the next round.
func (b *Broker) eachKill(ctx context.Context, kills []access.Kill, turn func(access.Kill) (access.Change, error)) error {
	_, err := b.update(context.WithoutCancel(ctx), func(tx *store.Tx) (access.Change, error) {
		var all access.Change
		for _, was := range kills {
			k, err := tx.Kill(was.ID)
			if err != nil {
				return all, err
			}
			if k.Version != was.Version {
				continue
			}
			c, err := turn(k)
			if err != nil {
				return all, err
			}
			all = all.And(c)
		}
		return all, nil
	})
	return err
}

// Kills lists session kills, the newest first: all of them for whoever reads everything, and those of their own sessions for
// everybody else.
func (b *Broker) Kills(ctx context.Context, from Page, most int) (kills []access.Kill, next Page, err error) {
	by, err := b.person(ctx)
	if err != nil {
		return nil, Page{}, b.refuse(ctx, "kills", audit.Subject{Kind: "api"}, err)
	}
	whose := by.ID
	if b.sees(by) {
		whose = ""
	}
	err = b.Store.View(ctx, func(tx *store.Tx) (err error) { kills, err = tx.KillsBefore(whose, from, most); return err })
	if n := len(kills); n > 0 && n == most {
		next = Page{At: kills[n-1].WantedAt, ID: kills[n-1].ID}
	}
	return kills, next, err
}

// KillCheck is what was found of the policy of session kills.
type KillCheck struct {
	SetUp      bool
	Statements int // beside the mark
	Length     int // characters of the policy
	Size       int // characters that it may have
	Targets    []string
	Wrong      []string      // what keeps kills from their effect, or gives them one where they must not have any
	Unreached  []org.Account // active accounts in which the policy is not in effect, beside the management account
}

// CheckKills asks AWS for the policy and what it is attached to, and says what is wrong with either.
func (b *Broker) CheckKills(ctx context.Context) (KillCheck, error) {
	by, err := b.person(ctx)
	if err == nil && !b.sees(by) {
		err = &access.Problem{Kind: access.ErrRefused, Message: "administrators and auditors may check the policy of session kills", Hint: "`administrators` and `auditors` in the configuration say who they are"}
	}
	if err == nil {
		_, err = b.ready()
	}
	if err != nil {
		return KillCheck{}, b.refuse(ctx, "check kills", audit.Subject{Kind: "api"}, err)
	}
	if b.KillPolicy.Policy == nil {
		return KillCheck{Wrong: []string{"session kills are not set up on this server: `session-kill` in its configuration"}}, nil
	}
	v := KillCheck{SetUp: true, Size: b.KillPolicy.Size}
	if v.Size == 0 {
		v.Size = access.KillSize
	}
	text, err := timed(ctx, b.CallTimeout, b.KillPolicy.Policy.Read)
	if err == nil {
		v.Length = len(text)
		v.Statements, err = access.ReadKillPolicy(text)
	}
	if err != nil {
		v.Wrong = append(v.Wrong, clipped(err.Error()))
	}
	if v.Targets, err = timed(ctx, b.CallTimeout, b.KillPolicy.Policy.Targets); err != nil {
		v.Wrong = append(v.Wrong, clipped(err.Error()))
		return v, nil
	}
	slices.Sort(v.Targets)
	b.reached(&v)
	return v, nil
}

// reached judges what the policy is attached to.
func (b *Broker) reached(v *KillCheck) {
	m := b.rules().Organization()
	o := m.Organization()
	attached := func(id string) bool { return slices.Contains(v.Targets, id) }
	if len(v.Targets) == 0 {
		v.Wrong = append(v.Wrong, "the policy is attached to nothing: what is sent has no effect")
	}
	if attached(string(o.Root)) {
		v.Wrong = append(v.Wrong, "the policy is attached to the root, and so to accounts that emergencies need: attach it to the OUs of what is lent")
	}
	emergency := b.KillPolicy.EmergencyOU
	if _, known := m.OU(string(emergency)); emergency != "" && !known {
		v.Wrong = append(v.Wrong, fmt.Sprintf("there is no emergency OU %s in the organization", emergency))
	}
	for _, a := range o.Accounts {
		above := m.Above(a)
		in := attached(string(a.ID)) || slices.ContainsFunc(above, func(ou org.OUID) bool { return attached(string(ou)) })
		safe := emergency != "" && slices.Contains(above, emergency)
		switch {
		case in && safe:
			v.Wrong = append(v.Wrong, fmt.Sprintf("the policy is in effect in %s (%s), which is an emergency account", a.Name, a.ID))
		case !in && !safe && a.ID != o.ManagementAccount && a.State == org.AccountActive:
			v.Unreached = append(v.Unreached, a)
		}
	}
}
