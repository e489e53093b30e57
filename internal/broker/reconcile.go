package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store"
	"sparekey/org"
)

// Givens is a directory that reads what is assigned in AWS, whoever assigned it.
type Givens interface {
	// Given reads every assignment in an account. pace is waited for before each call.
	Given(ctx context.Context, account org.AccountID, pace func(context.Context) error) ([]org.Assignment, error)
	// GivenAt reads every assignment of one permission set in one account.
	GivenAt(ctx context.Context, t org.Target) ([]org.Assignment, error)
}

// Enforcement says what is taken away that no grant has. The zero value takes nothing away.
type Enforcement struct {
	Orphaned bool // what Sparekey gave once
	People   bool // what somebody else gave to single people, where a rule lends
}

const (
	confirmEvery = 10 * time.Minute // each target of a live grant
	scanEvery    = time.Hour        // each account, where the pace allows that
	enforceAfter = 10 * time.Minute // from the first look that found something to one that may take it away
	removalTakes = 2 * time.Minute  // for so long nothing starts that a removal under way would take with it
	remembered   = 30 * 24 * time.Hour
)

// Reconcile compares what AWS gives with what Sparekey gave: first where grants live, each of their targets, and then account
// by account, the one that was looked at longest ago first, as long as the context lasts. What it finds is kept and recorded.
func (b *Broker) Reconcile(ctx context.Context) error {
	set, err := b.ready()
	givens, can := b.Directory.(Givens)
	if err != nil || !can {
		return nil // there is nothing to look at, or nobody who can
	}
	if err := b.confirmLive(ctx, givens); err != nil {
		return err
	}
	var times map[org.AccountID]time.Time
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { times, err = tx.ScanTimes(); return err }); err != nil {
		return err
	}
	var accounts []org.AccountID
	for _, a := range set.Organization().Organization().Accounts {
		if a.State == org.AccountActive && b.Now().Sub(times[a.ID]) >= scanEvery {
			accounts = append(accounts, a.ID)
		}
	}
	slices.SortStableFunc(accounts, func(x, y org.AccountID) int { return times[x].Compare(times[y]) })
	for _, account := range accounts {
		listed, err := givens.Given(ctx, account, b.scans.Wait)
		if err == nil {
			err = b.scanned(ctx, account, nil, listed)
		}
		if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
			return nil // the next run goes on
		}
		if err != nil {
			return fmt.Errorf("looking at what is given in %s: %w", account, err)
		}
	}
	return b.forgetScans(ctx, times)
}

// confirmLive looks at each target where a grant is active, from time to time.
func (b *Broker) confirmLive(ctx context.Context, givens Givens) error {
	lent := map[org.Target]string{} // by one of the grants
	err := b.Store.View(ctx, func(tx *store.Tx) error {
		live, failed := alive(tx)
		for g := range live {
			if g.Way == access.Assignment && g.State == access.Active && g.End == nil {
				lent[g.Target.Target] = g.ID
			}
		}
		return *failed
	})
	if err != nil {
		return err
	}
	for t, grant := range lent {
		if last, ok := b.confirmed.Load(t); ok && b.Now().Sub(last.(time.Time)) < confirmEvery {
			continue
		}
		if err := b.scans.Wait(ctx); err != nil {
			return nil // the time of this run is over
		}
		listed, err := givens.GivenAt(ctx, t)
		if err == nil {
			err = b.scanned(ctx, t.Account, &t, listed)
		}
		if err != nil {
			return fmt.Errorf("confirming %s: %w", grant, err)
		}
		b.confirmed.Store(t, b.Now())
	}
	b.confirmed.Range(func(t, _ any) bool {
		if lent[t.(org.Target)] == "" {
			b.confirmed.Delete(t)
		}
		return true
	})
	return nil
}

// scanned keeps what a look found: at a whole account, or at one of its permission sets.
func (b *Broker) scanned(ctx context.Context, account org.AccountID, only *org.Target, listed []org.Assignment) error {
	ctx = audit.By(ctx, "reconciler")
	var found, news, gone, again []access.Finding
	err := b.Store.Update(ctx, func(tx *store.Tx) error {
		now := b.Now()
		before, err := tx.Scan(account)
		if err != nil {
			return err
		}
		grants, err := tx.GrantsInAccount(account, now.Add(-remembered))
		if err != nil {
			return err
		}
		lent, err := b.lentIn(tx)
		if err != nil {
			return err
		}
		elsewhere := func(t org.Target) bool { return only != nil && t != *only }
		grants = slices.DeleteFunc(grants, func(g access.Grant) bool { return elsewhere(g.Target.Target) })
		found = access.Reconcile(listed, grants, lent, before.Found, now)
		again = slices.DeleteFunc(slices.Clone(found), func(f access.Finding) bool { return now.Sub(f.Since) < enforceAfter })
		at := now
		if only != nil {
			at = before.At
			for _, f := range before.Found {
				if elsewhere(f.Assignment.Target) {
					found = append(found, f)
				}
			}
		}
		news, gone = access.News(before.Found, found), access.News(found, before.Found)
		if err := tx.PutScan(store.Scan{Account: account, At: at, Found: found}); err != nil {
			return err
		}
		return tx.Append(audit.From(ctx), b.findings(news, gone, now)...)
	})
	if err != nil {
		return err
	}
	for _, f := range news {
		if f.Kind != access.Foreign {
			b.Log.Error("what AWS gives is not what Sparekey gave", "finding", string(f.Kind), "grant", f.Grant, "account", string(account), "principal", f.Assignment.Principal)
		}
	}
	return b.enforce(ctx, again)
}

// lentIn says which groups are Sparekey's own. Who is in them is their business who look after memberships.
func (b *Broker) lentIn(tx *store.Tx) (func(org.GroupID) bool, error) {
	lend, err := tx.LentGroups()
	if err != nil {
		return nil, err
	}
	keep, err := tx.Anchors()
	ours := map[org.GroupID]bool{}
	for _, g := range lend {
		ours[g.Group] = true
	}
	for _, g := range keep { // with somebody in it, it is a way in that no grant has
		ours[g.Group] = len(b.rules().Organization().Members(g.Group)) == 0
	}
	return func(id org.GroupID) bool { return ours[id] }, err
}

// findings are the events of what was found and of what is not there any more. What groups have that Sparekey did not make is
// how most organizations give standing access: it is listed, and not recorded one by one.
func (b *Broker) findings(news, gone []access.Finding, now time.Time) []audit.Event {
	var events []audit.Event
	for kind, list := range map[string][]access.Finding{"drift.found": news, "drift.gone": gone} {
		for _, f := range list {
			if f.Kind == access.Foreign && !f.Direct() {
				continue
			}
			events = append(events, b.finding(kind, f, now, nil))
		}
	}
	slices.SortFunc(events, func(x, y audit.Event) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(fmt.Sprint(x.Detail), fmt.Sprint(y.Detail)))
	})
	return events
}

func (b *Broker) finding(kind string, f access.Finding, now time.Time, more map[string]string) audit.Event {
	detail := map[string]string{
		"finding": string(f.Kind), "principal": string(f.Assignment.Kind) + " " + f.Assignment.Principal, "permissionSet": f.Assignment.PermissionSet, "grant": f.Grant,
	}
	for k, v := range more {
		detail[k] = v
	}
	return audit.Event{
		At: now, Kind: kind, Actor: audit.Actor{Kind: audit.Sparekey, ID: "reconciler"}, Subject: audit.Subject{Kind: "account", ID: string(f.Assignment.Account)}, Detail: detail,
	}
}

// enforce takes away what this look and one some time before it found, where the operator chose that.
func (b *Broker) enforce(ctx context.Context, again []access.Finding) error {
	var failed []error
	for _, f := range again {
		if f.Kind == access.Orphaned && b.Enforce.Orphaned || f.Kind == access.Foreign && f.Direct() && b.Enforce.People && b.lends(f.Assignment.Target) {
			failed = append(failed, b.takeAway(ctx, f))
		}
	}
	return errors.Join(failed...)
}

// lends reports whether any rule lends a target to anybody: what no rule is about is none of Sparekey's business.
func (b *Broker) lends(t org.Target) bool { return b.rules().Lends(t) }

// takeAway asks AWS to take an assignment away that no grant has. It is recorded before AWS is asked; whether it is gone, the
// next look shows. Its lease on the access is nobody's in this process, and is left to run out: AWS works on for a while, and
// what starts meanwhile would be taken away with it. A process that was paused in between asks for nothing any more.
func (b *Broker) takeAway(ctx context.Context, f access.Finding) error {
	call, cancel := context.WithTimeout(ctx, b.CallTimeout) // from before the lease
	defer cancel()
	k := access.Key{Way: access.Assignment, Person: org.PersonID(f.Assignment.Principal), Target: f.Assignment.Target}
	now := b.Now()
	if _, held, err := b.Store.TakeLease(ctx, leaseName(k), b.holder+" takes away", now, now.Add(removalTakes)); err != nil || !held {
		return err
	}
	needed := false
	err := b.Store.Update(ctx, func(tx *store.Tx) error {
		grants, err := tx.GrantsOfKey(k)
		if needed = slices.ContainsFunc(grants, access.Grant.Live); err != nil || needed {
			return err
		}
		return tx.Append(audit.From(ctx), b.finding("drift.removing", f, b.Now(), nil))
	})
	if err != nil || needed {
		return errors.Join(err, b.Store.DropLease(ctx, leaseName(k), b.holder+" takes away"))
	}
	if _, err := b.Ways[access.Assignment].Delete(call, k); err != nil && !errors.Is(err, access.ErrMissing) {
		b.Log.Error("what no grant has could not be taken away; it is tried again", "account", string(k.Account), "person", string(k.Person), "error", err)
		return b.Store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
			return tx.Append(audit.From(ctx), b.finding("drift.hindered", f, b.Now(), map[string]string{"aws": err.Error()}))
		})
	}
	return nil
}

// forgetScans drops what was found in accounts that are closed or gone.
func (b *Broker) forgetScans(ctx context.Context, times map[org.AccountID]time.Time) error {
	m := b.rules().Organization()
	var closed []org.AccountID
	for id := range times {
		if a, ok := m.Account(id); !ok || a.State != org.AccountActive {
			closed = append(closed, id)
		}
	}
	if len(closed) == 0 {
		return nil
	}
	return b.Store.Update(ctx, func(tx *store.Tx) error {
		for _, id := range closed {
			if err := tx.DropScan(id); err != nil {
				return err
			}
		}
		return nil
	})
}

// Drift is what differs between AWS and the grants, as far as was looked.
type Drift struct {
	Accounts int       // that are active
	Seen     int       // of them were looked at as a whole
	Oldest   time.Time // look, of those
	Found    []access.Finding
}

// Drift says what the reconciler found.
func (b *Broker) Drift(ctx context.Context) (Drift, *org.Mirror, error) {
	var d Drift
	set, err := b.reader(ctx)
	if err == nil {
		err = b.Store.View(ctx, func(tx *store.Tx) error {
			times, err := tx.ScanTimes()
			if err != nil {
				return err
			}
			for _, a := range set.Organization().Organization().Accounts {
				if a.State != org.AccountActive {
					continue
				}
				d.Accounts++
				if at := times[a.ID]; at.UnixMilli() > 0 {
					d.Seen++
					if d.Oldest.IsZero() || at.Before(d.Oldest) {
						d.Oldest = at
					}
				}
			}
			scans, err := tx.ScansWithFindings()
			for _, s := range scans {
				d.Found = append(d.Found, s.Found...)
			}
			return err
		})
	}
	if err != nil {
		return d, nil, b.refuse(ctx, "drift", audit.Subject{Kind: "api"}, err)
	}
	return d, set.Organization(), nil
}
