package org

import "time"

// The identifiers that AWS never gives to anything else again. Names may change and be reused; these are what is recorded,
// compared and acted upon.
type (
	// AccountID is the twelve digits of an account.
	AccountID string
	// OUID is the id of an organizational unit (ou-…) or of the root (r-…).
	OUID string
	// PersonID is the UserId of the identity store.
	PersonID string
	// GroupID is the GroupId of the identity store.
	GroupID string
)

// Organization is what was read of an AWS organization and its Identity Center at one moment.
type Organization struct {
	ID                string          `json:"id"`
	ManagementAccount AccountID       `json:"managementAccount"`
	Instance          string          `json:"instance"` // ARN of the Identity Center instance
	IdentityStore     string          `json:"identityStore"`
	Root              OUID            `json:"root"`
	OUs               []OU            `json:"ous"`
	Accounts          []Account       `json:"accounts"`
	PermissionSets    []PermissionSet `json:"permissionSets"`
	Groups            []Group         `json:"groups"`
	People            []Person        `json:"people"`
	ReadAt            time.Time       `json:"readAt"`
}

// OU is an organizational unit. The root is not one of them.
type OU struct {
	ID     OUID              `json:"id"`
	Name   string            `json:"name"`
	Parent OUID              `json:"parent"`
	Tags   map[string]string `json:"tags,omitempty"`
}

// AccountState is Organizations' State of an account.
type AccountState string

// The states that matter here: only an active account can be lent.
const (
	AccountActive    AccountState = "ACTIVE"
	AccountSuspended AccountState = "SUSPENDED"
)

// Account is an AWS account. Names are not unique in an organization.
type Account struct {
	ID     AccountID         `json:"id"`
	Name   string            `json:"name"`
	Parent OUID              `json:"parent"`
	State  AccountState      `json:"state"`
	Tags   map[string]string `json:"tags,omitempty"`
}

// PermissionSet is an Identity Center permission set. Its name is unique in its instance.
type PermissionSet struct {
	ARN         string        `json:"arn"`
	Name        string        `json:"name"`
	Description string        `json:"description,omitempty"`
	Session     time.Duration `json:"session"`           // how long a session lives that was opened at the last moment: 1 to 12 h
	Content     string        `json:"content,omitempty"` // digest of what the set permits (its policies and its boundary); empty: not read
}

// Group is a group of the identity store. Its name is unique in its store.
type Group struct {
	ID   GroupID `json:"id"`
	Name string  `json:"name"`
}

// Status says whether a person may do anything at all.
type Status string

// The statuses of a person. AWS may leave UserStatus out, which is not the same as enabled.
const (
	StatusUnknown  Status = ""
	StatusEnabled  Status = "enabled"
	StatusDisabled Status = "disabled"
	StatusRemoved  Status = "removed" // the identity store does not know the id
)

// Gone reports whether the directory has said that this person may no longer do anything. Unknown is not gone.
func (s Status) Gone() bool { return s == StatusDisabled || s == StatusRemoved }

// Person is a user of the identity store, with the groups they are in.
type Person struct {
	ID     PersonID  `json:"id"`
	User   string    `json:"user"` // UserName: unique in its store, but it may change
	Name   string    `json:"name,omitempty"`
	Email  string    `json:"email,omitempty"`
	Status Status    `json:"status,omitempty"`
	Groups []GroupID `json:"groups,omitempty"`
	// Joined says when the person was first seen in a group, for groups that they were not in when the organization was first read.
	Joined map[GroupID]time.Time `json:"joined,omitempty"`
}

// In reports whether the person is in the group.
func (p Person) In(g GroupID) bool {
	for _, own := range p.Groups {
		if own == g {
			return true
		}
	}
	return false
}

// Target is what access is given to: one permission set in one account, or one IAM role there.
type Target struct {
	Account       AccountID `json:"account"`
	PermissionSet string    `json:"permissionSet"` // ARN; or, for an IAM role, RolePrefix and the role's path and name, as in role/ops/Deployer
}

// RolePrefix begins the name of a target that is an IAM role and not a permission set.
const RolePrefix = "role/"

// PrincipalKind says whether an assignment is a person's or a group's.
type PrincipalKind string

// The kinds of principal that Identity Center assigns to.
const (
	User       PrincipalKind = "USER"
	GroupOfAWS PrincipalKind = "GROUP"
)

// Assignment is one account assignment of Identity Center. Assignments carry no owner, no tag and no id of their own.
type Assignment struct {
	Kind      PrincipalKind `json:"kind"`
	Principal string        `json:"principal"` // a PersonID or a GroupID
	Target
}

// ValidAccountID reports whether text is twelve digits.
func ValidAccountID(text string) bool {
	if len(text) != 12 {
		return false
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
