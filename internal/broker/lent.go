package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store"
	"sparekey/org"
)

// Groups makes the groups that lend by membership, in AWS. Each method makes one call, or looks.
type Groups interface {
	// Make makes a group, or finds the one that it made before.
	Make(ctx context.Context, name, description string) (org.GroupID, error)
	// Assigned reports whether AWS lists the group's assignment.
	Assigned(ctx context.Context, g org.GroupID, t org.Target) (bool, error)
	// Assign asks AWS for the assignment.
	Assign(ctx context.Context, g org.GroupID, t org.Target) (access.Seen, error)
	// Assigning says how that goes on.
	Assigning(ctx context.Context, id string) (access.Seen, error)
}

// PrepareGroup has Sparekey make a group for a target, so that rules can lend it by membership. Preparing what is prepared
// changes nothing. It is done in the background: see [Broker.MakeGroups].
func (b *Broker) PrepareGroup(ctx context.Context, n Names) (access.LentGroup, error) {
	g, err := b.prepareGroup(ctx, n)
	if err != nil {
		return g, b.refuse(ctx, "prepare a group", audit.Subject{Kind: "group"}, err)
	}
	return g, nil
}

func (b *Broker) prepareGroup(ctx context.Context, n Names) (access.LentGroup, error) {
	by, err := b.administrator(ctx)
	if err != nil {
		return access.LentGroup{}, err
	}
	set, err := b.ready()
	if err != nil {
		return access.LentGroup{}, err
	}
	t, err := target(set.Organization(), n)
	if err != nil {
		return access.LentGroup{}, err
	}
	place := access.PlaceOf(t, set.Organization())
	switch {
	case b.Groups == nil:
		return access.LentGroup{}, &access.Problem{Kind: access.ErrUnavailable, Message: "this server makes no groups", Hint: "rules may lend by assignment"}
	case t.Account == set.Organization().Organization().ManagementAccount:
		return access.LentGroup{}, &access.Problem{Kind: access.ErrRefused, Message: "the management account is not lent by membership", Hint: "rules may lend it by assignment"}
	}
	if _, is := set.Organization().PermissionSet(t.PermissionSet); !is {
		return access.LentGroup{}, &access.Problem{Kind: access.ErrInvalid, Message: "an IAM role is lent by sessions, not by membership", Hint: "a rule with `by: session` needs no group"}
	}
	g := access.LentGroup{Target: place, Name: access.GroupName(t.Account, place.PermissionSetName), MadeAt: b.Now().UTC()}
	err = b.Store.Update(ctx, func(tx *store.Tx) error {
		was, err := tx.LentGroup(t)
		if err == nil {
			g = was
			return nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return b.keepGroup(ctx, tx, g, "group.preparing", actorOf(ctx, by))
	})
	return g, err
}

// administrator returns the caller if they administer, as AWS knows them now.
func (b *Broker) administrator(ctx context.Context) (org.Person, error) {
	by, err := b.live(ctx)
	if err == nil && !b.administers(by) {
		err = &access.Problem{Kind: access.ErrRefused, Message: "only administrators may do that", Hint: "`administrators` and `auditors` in the configuration say who they are"}
	}
	return by, err
}

func (b *Broker) keepGroup(ctx context.Context, tx *store.Tx, g access.LentGroup, kind string, by audit.Actor) error {
	subject, put := "group", tx.PutLentGroup
	if g.Anchor {
		subject, kind, put = "anchor", "anchor"+strings.TrimPrefix(kind, "group"), tx.PutAnchor
	}
	if err := put(g); err != nil {
		return err
	}
	after, err := audit.ImageOf("", 0, g)
	if err != nil {
		return err
	}
	return tx.Append(audit.From(ctx), audit.Event{
		At: b.Now(), Kind: kind, Actor: by, Subject: audit.Subject{Kind: subject, ID: string(g.Target.Account) + " " + g.Target.PermissionSetName}, After: after,
		Detail: map[string]string{"name": g.Name},
	})
}

// LentGroups lists the groups that lend by membership.
func (b *Broker) LentGroups(ctx context.Context) (groups []access.LentGroup, err error) {
	by, err := b.person(ctx)
	if err == nil && !b.sees(by) {
		err = &access.Problem{Kind: access.ErrRefused, Message: "administrators and auditors may see the groups that lend by membership", Hint: "`administrators` and `auditors` in the configuration say who they are"}
	}
	if err != nil {
		return nil, b.refuse(ctx, "groups", audit.Subject{Kind: "api"}, err)
	}
	err = b.Store.View(ctx, func(tx *store.Tx) (err error) { groups, err = tx.LentGroups(); return err })
	return groups, err
}

// MakeGroups brings every group that is being prepared a step further: it is made, its assignment is asked for, and it is
// ready once AWS lists that. A death in between leaves a row from which the next step follows: making finds what was made.
func (b *Broker) MakeGroups(ctx context.Context) error {
	if b.Groups == nil {
		return nil
	}
	var groups []access.LentGroup
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { groups, err = tx.LentGroups(); return err }); err != nil {
		return err
	}
	var failed []error
	for _, g := range groups {
		for !g.Ready {
			next, err := b.makeGroup(ctx, g)
			if err != nil {
				failed = append(failed, err)
			}
			if err != nil || next == g {
				break
			}
			g = next
		}
	}
	return errors.Join(failed...)
}

// makeGroup takes one step, and returns the group as it is then.
func (b *Broker) makeGroup(ctx context.Context, g access.LentGroup) (access.LentGroup, error) {
	next, kind := g, ""
	step, cancel := context.WithTimeout(ctx, b.CallTimeout)
	defer cancel()
	err := func() (err error) {
		if g.Group == "" {
			next.Group, err = b.Groups.Make(step, g.Name, g.Description())
			kind = "group.made"
			return err
		}
		assigned, err := b.Groups.Assigned(step, g.Group, g.Target.Target)
		if err != nil {
			return err
		}
		if assigned {
			next.Ready, next.Operation, kind = true, "", "group.ready"
			return nil
		}
		kind, err = b.assignGroup(step, &next)
		return err
	}()
	if err != nil {
		operation := next.Operation // none, where AWS did not assign it: then it is asked for anew
		next = g
		next.Trouble, next.Operation, kind = clipped(err.Error()), operation, "group.hindered"
		err = fmt.Errorf("preparing the group %s: %w", g.Name, err)
	} else if next != g {
		next.Trouble = ""
	}
	if next == g {
		return g, err
	}
	keep := b.Store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		return b.keepGroup(ctx, tx, next, kind, audit.From(ctx).Actor)
	})
	return next, errors.Join(err, keep)
}

// assignGroup asks for the assignment, or how it goes on.
func (b *Broker) assignGroup(ctx context.Context, g *access.LentGroup) (kind string, err error) {
	if g.Operation == "" {
		op, err := b.Groups.Assign(ctx, g.Group, g.Target.Target)
		g.Operation = op.ID
		return "group.assigning", err
	}
	op, err := b.Groups.Assigning(ctx, g.Operation)
	switch {
	case errors.Is(err, access.ErrMissing):
		g.Operation = ""
		return "group.assigning", nil
	case err == nil && op.Outcome == access.FailedOp:
		g.Operation = ""
		return "group.hindered", fmt.Errorf("AWS did not assign it: %s", op.Reason)
	}
	return "", err
}
