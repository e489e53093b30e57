package access

import (
	"strings"

	"sparekey/org"
)

// An anchor is a group of nobody that stays assigned to a target. Identity Center deletes the role of a permission set in an
// account with the last assignment, and makes it anew under another name with the next ("Referencing permission sets in
// resource policies", IAM Identity Center User Guide): resource policies, keys and clusters that name the role break. The
// anchor keeps it. A group that lends by membership does the same.

// AnchorName returns the name of the anchor for a permission set in an account. set is its name.
func AnchorName(account org.AccountID, set string) string {
	return strings.Join([]string{"sparekey anchor", string(account), set}, " ")
}

// AnchorDescription returns the description of the anchor for a target. It is none of a group that lends, so that nobody is put
// into an anchor by a grant.
func AnchorDescription(t org.Target) string {
	return GroupMark + "keeping the role of " + t.PermissionSet + " in " + string(t.Account) + "; it has no members"
}

// Description is that of the group.
func (g LentGroup) Description() string {
	if g.Anchor {
		return AnchorDescription(g.Target.Target)
	}
	return GroupDescription(g.Target.Target)
}

// Keeps reports whether an assignment of a permission set in an account to a group of this name gives nobody standing access
// by itself: the group lends by membership, or it is an anchor without members.
func Keeps(account org.AccountID, set, group string, members int) bool {
	return group == GroupName(account, set) || group == AnchorName(account, set) && members == 0
}
