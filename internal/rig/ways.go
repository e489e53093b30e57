package rig

import (
	"slices"
	"strings"

	"sparekey/access"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
	"sparekey/org"
)

// What a life of each way is about: the target, the rule under which it is given, and the calls that change something.
var ways = map[access.Way]struct {
	target, rule string
	changing     []string
}{
	access.Assignment: {"play PowerUser", "what: {permission-sets: [ReadOnly, PowerUser]}", []string{"CreateAccountAssignment", "DeleteAccountAssignment"}},
	access.Membership: {"play PowerUser", "by: membership\n    what: {permission-sets: [ReadOnly, PowerUser]}", []string{"CreateGroupMembership", "DeleteGroupMembership"}},
	access.Session:    {"play role/ops/Deployer", "by: session\n    what: {roles: [ops/Deployer]}", []string{"AssumeRole"}},
}

// lentName is the group of the rig that Sparekey made for PowerUser in play.
const lentName = "sparekey 100000000003 PowerUser"

// Changing are the operations of a way that change something in AWS, or hand something out.
func Changing(w access.Way) []string { return ways[w].changing }

// Lends puts rules in force under which "play" is lent in a way, and prepares what that needs: the group that Sparekey made.
func (r *Rig) Lends(w access.Way) {
	r.Helper()
	r.way = w
	r.Ruled(BookOf(w))
	if w != access.Membership {
		return
	}
	t := r.Target("play", "PowerUser")
	lent := access.LentGroup{Target: access.PlaceOf(t, org.NewMirror(r.O)), Group: r.Group(lentName), Name: lentName, MadeAt: Start, Ready: true}
	if err := r.Store.Update(r.Context(), func(tx *store.Tx) error { return tx.PutLentGroup(lent) }); err != nil {
		r.Fatal(err)
	}
	r.describeLent()
}

// BookOf is the rules of the rig with "play" lent in a way.
func BookOf(w access.Way) string {
	return strings.Replace(Book, "what: {permission-sets: [ReadOnly, PowerUser]}", ways[w].rule, 1)
}

// Halt says why nothing may start from now on; empty: it may.
func (r *Rig) Halt(why string) { r.halt.Store(&why) }

func (r *Rig) halted() string {
	if why := r.halt.Load(); why != nil {
		return *why
	}
	return ""
}

// describeLent marks the group in the sandbox as one that Sparekey made.
func (r *Rig) describeLent() {
	id := r.Group(lentName)
	if err := r.Box.Change(func(d *sandbox.Directory) error {
		return d.DescribeGroup(id, access.GroupDescription(r.Target("play", "PowerUser")))
	}); err != nil {
		r.Fatal(err)
	}
}

// There reports whether AWS gives what a life is about.
func (l *Life) There() bool {
	switch l.way {
	case access.Membership:
		return l.inGroup("dana")
	case access.Session:
		return l.Rig.Grant(l.ID).Stood() // nothing else of it is anywhere
	case access.Assignment:
	}
	return l.Box.Assigned(l.Assignment)
}

func (r *Rig) inGroup(user string) bool {
	id := r.Person(user).ID
	return slices.ContainsFunc(r.Box.State().People, func(p sandbox.StatePerson) bool { return p.ID == id && slices.Contains(p.Groups, lentName) })
}
