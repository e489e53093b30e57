package broker

import (
	"context"
	"errors"
	"slices"
	"strings"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/store"
	"sparekey/org"
	"sparekey/rules"
)

// anchorsAtOnce is how many assignments of anchors are under way together, each in an account of its own: the few that
// Identity Center takes are for grants.
const anchorsAtOnce = 2

// Anchored is what keeps roles from being deleted and made anew, and where nothing does.
type Anchored struct {
	Anchors []access.LentGroup
	Missing []access.Place  // what rules lend by assignment, and neither an anchor nor a group that lends by membership keeps
	Members []AnchorMembers // there must be none
}

// AnchorMembers are the people in a group that must have none.
type AnchorMembers struct {
	Anchor access.LentGroup
	People []access.Named
}

// Anchors lists the anchors, says which targets that can be lent have none, and who is in one.
func (b *Broker) Anchors(ctx context.Context) (v Anchored, err error) {
	by, err := b.person(ctx)
	if err == nil && !b.sees(by) {
		err = &access.Problem{Kind: access.ErrRefused, Message: "administrators and auditors may see the groups that keep roles", Hint: "`administrators` and `auditors` in the configuration say who they are"}
	}
	if err == nil {
		_, err = b.ready()
	}
	if err != nil {
		return v, b.refuse(ctx, "anchors", audit.Subject{Kind: "api"}, err)
	}
	err = b.view(ctx, func(tx *store.Tx, set rules.Set) (err error) { v, err = b.anchored(tx, set); return err })
	return v, err
}

func (b *Broker) anchored(tx *store.Tx, set rules.Set) (v Anchored, err error) {
	if v.Anchors, err = tx.Anchors(); err != nil {
		return v, err
	}
	lent, err := tx.LentGroups()
	if err != nil {
		return v, err
	}
	m := set.Organization()
	kept := map[org.Target]bool{}
	for _, g := range append(slices.Clone(v.Anchors), lent...) {
		kept[g.Target.Target] = kept[g.Target.Target] || g.Ready
	}
	for _, t := range set.Targets(string(access.Assignment)) {
		if !kept[t] && t.Account != m.Organization().ManagementAccount {
			v.Missing = append(v.Missing, access.PlaceOf(t, m))
		}
	}
	for _, a := range v.Anchors {
		in := AnchorMembers{Anchor: a}
		for _, id := range m.Members(a.Group) {
			p, _ := m.Person(id)
			in.People = append(in.People, access.Named{ID: id, User: p.User})
		}
		if len(in.People) > 0 {
			v.Members = append(v.Members, in)
		}
	}
	return v, nil
}

// Anchor has a group of nobody made and assigned to a target, so that the role there stays when the last grant ends. It is
// done in the background; what is there already changes nothing.
func (b *Broker) Anchor(ctx context.Context, n Names) (access.LentGroup, error) {
	all, err := b.anchor(ctx, func(_ *store.Tx, set rules.Set) ([]org.Target, error) {
		t, err := target(set.Organization(), n)
		return []org.Target{t}, err
	})
	if err != nil {
		return access.LentGroup{}, err
	}
	return all[0], nil
}

// AnchorAll does so for every target that rules lend by assignment and that has none.
func (b *Broker) AnchorAll(ctx context.Context) ([]access.LentGroup, error) {
	return b.anchor(ctx, func(tx *store.Tx, set rules.Set) (targets []org.Target, err error) {
		v, err := b.anchored(tx, set)
		for _, p := range v.Missing {
			targets = append(targets, p.Target)
		}
		return targets, err
	})
}

func (b *Broker) anchor(ctx context.Context, which func(*store.Tx, rules.Set) ([]org.Target, error)) (all []access.LentGroup, err error) {
	by, err := b.administrator(ctx)
	if err == nil && b.Groups == nil {
		err = &access.Problem{Kind: access.ErrUnavailable, Message: "this server makes no groups", Hint: "without one, the roles of permission sets come and go"}
	}
	if err == nil {
		err = b.Store.Update(ctx, func(tx *store.Tx) error {
			set, err := b.at(tx, rules.Facts{Now: b.Now()})
			if err != nil {
				return err
			}
			targets, err := which(tx, set)
			for _, t := range targets {
				if err == nil {
					var g access.LentGroup
					g, err = b.anchorAt(ctx, tx, set.Organization(), t, actorOf(ctx, by))
					all = append(all, g)
				}
			}
			return err
		})
	}
	if err != nil {
		return nil, b.refuse(ctx, "anchor", audit.Subject{Kind: "anchor"}, err)
	}
	return all, nil
}

func (b *Broker) anchorAt(ctx context.Context, tx *store.Tx, m *org.Mirror, t org.Target, by audit.Actor) (access.LentGroup, error) {
	if _, is := m.PermissionSet(t.PermissionSet); !is {
		return access.LentGroup{}, &access.Problem{Kind: access.ErrInvalid, Message: "an IAM role stays as it is; only the roles of permission sets come and go", Hint: "--permission-set names a permission set"}
	}
	if t.Account == m.Organization().ManagementAccount {
		return access.LentGroup{}, &access.Problem{Kind: access.ErrRefused, Message: "no group is assigned in the management account", Hint: "its roles are kept by an assignment that an administrator of it makes"}
	}
	was, err := tx.Anchor(t)
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return was, err
	}
	place := access.PlaceOf(t, m)
	g := access.LentGroup{Target: place, Name: access.AnchorName(t.Account, place.PermissionSetName), MadeAt: b.Now().UTC(), Anchor: true}
	return g, b.keepGroup(ctx, tx, g, "group.preparing", by)
}

// MakeAnchors brings anchors that are being made a step further, as [Broker.MakeGroups] does with groups that lend, a few at
// once. It says loudly when somebody is in an anchor.
func (b *Broker) MakeAnchors(ctx context.Context) error {
	if b.Groups == nil {
		return nil
	}
	var anchors []access.LentGroup
	if err := b.Store.View(ctx, func(tx *store.Tx) (err error) { anchors, err = tx.Anchors(); return err }); err != nil {
		return err
	}
	b.guardAnchors(anchors)
	busy := map[org.AccountID]bool{}
	for _, g := range anchors {
		if !g.Ready && g.Operation != "" {
			busy[g.Target.Account] = true
		}
	}
	var failed []error
	for _, g := range anchors {
		if g.Ready || g.Operation == "" && (busy[g.Target.Account] || len(busy) >= anchorsAtOnce) || ctx.Err() != nil {
			continue
		}
		for busy[g.Target.Account] = true; !g.Ready; {
			next, err := b.makeGroup(ctx, g)
			failed = append(failed, err)
			if err != nil || next == g {
				break
			}
			g = next
		}
	}
	return errors.Join(failed...)
}

// guardAnchors says who is in an anchor, once for each change: whoever is has standing access that nobody approved.
func (b *Broker) guardAnchors(anchors []access.LentGroup) {
	set := b.rules()
	if !set.Ready() {
		return
	}
	m := set.Organization()
	for _, a := range anchors {
		var people []string
		for _, id := range m.Members(a.Group) {
			p, _ := m.Person(id)
			people = append(people, p.User)
		}
		slices.Sort(people)
		who := strings.Join(people, ", ")
		was, _ := b.intruders.Swap(a.Name, who)
		if who != "" && was != who {
			b.Log.Error("somebody is in a group that must have no members: they have access that nobody approved; take them out", "group", a.Name, "people", who)
		}
	}
}
