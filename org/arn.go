package org

import (
	"fmt"
	"strings"
)

// ARN is an Amazon Resource Name, of any partition ("IAM User Guide: Identify AWS resources with ARNs").
type ARN struct {
	Partition, Service, Region, Account, Resource string
}

// ParseARN reads arn:partition:service:region:account:resource. Region and account may be empty; the resource may hold
// colons. At most 2,048 characters are read, the longest that AWS's models allow.
func ParseARN(text string) (ARN, error) {
	parts := strings.SplitN(text, ":", 6)
	if len(text) > 2048 || len(parts) != 6 || parts[0] != "arn" || parts[1] == "" || parts[2] == "" || parts[5] == "" {
		return ARN{}, fmt.Errorf("%q is not an ARN (arn:partition:service:region:account:resource)", clip(text))
	}
	return ARN{parts[1], parts[2], parts[3], parts[4], parts[5]}, nil
}

func (a ARN) String() string {
	return strings.Join([]string{"arn", a.Partition, a.Service, a.Region, a.Account, a.Resource}, ":")
}

// PermissionSetARN makes the ARN of the permission set ps of the Identity Center instance that instance names.
func PermissionSetARN(instance ARN, ps string) string {
	_, id, _ := strings.Cut(instance.Resource, "/")
	return ARN{instance.Partition, "sso", "", "", "permissionSet/" + id + "/" + ps}.String()
}

// clip shortens text that came from outside, so that a message stays a message.
func clip(text string) string {
	if len(text) > 60 {
		return text[:60] + "…"
	}
	return text
}
