package access

import (
	"strings"

	"sparekey/org"
)

// GroupMark begins the description of every group that Sparekey made. Groups without it are never written to.
const GroupMark = "made by Sparekey for "

// GroupName returns the name of the group whose members have access to a permission set in an account. set is its name.
func GroupName(account org.AccountID, set string) string {
	return strings.Join([]string{"sparekey", string(account), set}, " ")
}

// GroupDescription returns the description of the group for a target. It names the target by what AWS never gives to another,
// so that a group is not taken for one of another target.
func GroupDescription(t org.Target) string {
	return GroupMark + t.PermissionSet + " in " + string(t.Account)
}
