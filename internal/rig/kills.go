package rig

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/organizations/types"

	"sparekey/access"
	adapter "sparekey/internal/aws"
	"sparekey/internal/broker"
	"sparekey/org"
)

// Kills sets up session kills: a policy in the sandbox, attached to the OUs of those paths, that the broker writes to. It returns
// the policy's id.
func (r *Rig) Kills(ous ...string) string {
	r.Helper()
	orgs := organizations.NewFromConfig(r.Connection)
	out, err := orgs.CreatePolicy(r.Context(), &organizations.CreatePolicyInput{
		Name: aws.String("kills"), Description: aws.String(""), Type: types.PolicyTypeServiceControlPolicy, Content: aws.String(access.EmptyKillPolicy()),
	})
	if err != nil {
		r.Fatal(err)
	}
	id := *out.Policy.PolicySummary.Id
	for _, path := range ous {
		r.Attach(id, path)
	}
	r.Broker.KillPolicy = broker.KillSettings{Policy: adapter.NewKillPolicy(r.Connection, id)}
	return id
}

// Attach attaches a policy to the OU of a path; "/" is the root.
func (r *Rig) Attach(id, path string) {
	r.Helper()
	ou, ok := org.NewMirror(r.O).OU(path)
	if !ok {
		r.Fatalf("no OU %s", path)
	}
	_, err := organizations.NewFromConfig(r.Connection).AttachPolicy(r.Context(), &organizations.AttachPolicyInput{PolicyId: &id, TargetId: aws.String(string(ou))})
	if err != nil {
		r.Fatal(err)
	}
}

// KillText is what the policy of session kills is in the sandbox.
func (r *Rig) KillText() string {
	r.Helper()
	text, err := r.Broker.KillPolicy.Policy.Read(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return text
}
