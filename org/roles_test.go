package org

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestRolesAreDescribedForAccountsAndOUs(t *testing.T) {
	roles, err := DescribeRoles("o.yaml", []byte(small+`
roles:
  - {name: Deployer, path: /ops/, accounts: ["100000000002"], ous: [Workloads], max-session: 2h, trusts: ["100000000001", "100000000009"]}
  - {name: Reader, accounts: [management]}
`))
	both := []AccountID{"100000000001", "100000000009"}
	want := []Role{
		{"100000000002", "/ops/", "Deployer", 2 * time.Hour, both},
		{"100000000003", "/ops/", "Deployer", 2 * time.Hour, both},
		{"100000000001", "/", "Reader", time.Hour, []AccountID{"100000000001"}},
	}
	if err != nil || !reflect.DeepEqual(roles, want) {
		t.Errorf("%+v, %v", roles, err)
	}
	if arn := want[0].ARN("aws-cn"); arn != "arn:aws-cn:iam::100000000002:role/ops/Deployer" {
		t.Error(arn)
	}
	if arn := want[2].ARN("aws"); arn != "arn:aws:iam::100000000001:role/Reader" {
		t.Error(arn)
	}
}

func TestRolesThatAreNotRightAreNamed(t *testing.T) {
	for role, want := range map[string]string{
		"{name: A}":                                                             "no account has the role A",
		"{name: A B, accounts: [management]}":                                   "IAM does not take",
		"{name: A, path: ops, accounts: [management]}":                          "a path looks like /ops/",
		"{name: A, accounts: [payments]}":                                       `2 accounts are called "payments"`,
		"{name: A, ous: [Nowhere]}":                                             `there is no OU "Nowhere"`,
		"{name: A, accounts: [management], max-session: 30m}":                   "at most from 1h to 12h",
		"{name: A, accounts: [management], trusts: [\"12\"]}":                   "not twelve digits",
		"{name: A, accounts: [management]}\n  - {name: A, path: /x/, ous: [/]}": "has two roles",
		"{name: A, accounts: [management], max-sesion: 1h}":                     `did you mean "max-session"?`,
	} {
		text := []byte(small + "\nroles:\n  - " + role + "\n")
		_, err := DescribeRoles("o.yaml", text)
		_, _, same := Describe("o.yaml", text)
		if err == nil || !strings.Contains(err.Error(), want) || same == nil || same.Error() != err.Error() {
			t.Errorf("%s\n got %v\nand  %v\nwant %s", role, err, same, want)
		}
	}
}
