package sandbox

import (
	"errors"
	"fmt"
	"slices"

	"sparekey/internal/sandbox/wire"
	"sparekey/internal/sandbox/world"
	"sparekey/org"
)

type assignmentAnswer struct {
	AccountId        org.AccountID
	PermissionSetArn string
	PrincipalType    org.PrincipalKind
	PrincipalId      string
}

func (a assignmentAnswer) key() string {
	return string(a.AccountId) + a.PermissionSetArn + string(a.PrincipalType) + a.PrincipalId
}

// listed lists the assignments that which holds for, as listings show them now.
func (c *call) listed(which func(org.Assignment) bool) []assignmentAnswer {
	var all []assignmentAnswer
	for _, a := range c.w.Listed(c.now, which) {
		all = append(all, assignmentAnswer{a.Account, a.PermissionSet, a.Kind, a.Principal})
	}
	return all
}

type listAccountAssignmentsInput struct {
	InstanceArn      string `aws:"InstanceArn,required"`
	AccountId        string `aws:"AccountId,required"`
	PermissionSetArn string `aws:"PermissionSetArn,required"`
	MaxResults       int    `aws:"MaxResults"`
	NextToken        string `aws:"Token"`
}

func (c *call) listAccountAssignments(in *listAccountAssignmentsInput) (any, error) {
	set, err := c.permissionSet(in.InstanceArn, in.PermissionSetArn, false)
	if err != nil {
		return nil, err
	}
	target := org.Target{Account: org.AccountID(in.AccountId), PermissionSet: set.ARN}
	if err := c.knownAccount(target.Account); err != nil {
		return nil, err
	}
	all := c.listed(func(a org.Assignment) bool { return a.Target == target })
	part, next, err := page(c, all, assignmentAnswer.key, ssoPage, in.MaxResults, in.NextToken)
	return listing("AccountAssignments", part, next), err
}

func (c *call) knownAccount(id org.AccountID) error {
	if _, ok := c.w.Account(id); !ok {
		return notFound("Account %s was not found in the organization.", id)
	}
	return nil
}

type accountFilter struct {
	AccountId string `aws:"AccountId"`
}

type forPrincipalInput struct {
	InstanceArn   string         `aws:"InstanceArn,required"`
	PrincipalId   string         `aws:"PrincipalId,required"`
	PrincipalType string         `aws:"PrincipalType,required"`
	Filter        *accountFilter `aws:"-"`
	MaxResults    int            `aws:"MaxResults"`
	NextToken     string         `aws:"Token"`
}

// listAssignmentsForPrincipal lists what the principal has access to: for a user also what comes through groups, with the
// group as the principal. The API reference says "accounts that the principal has access to" and returns a principal beside
// each; that it means this is inferred.
func (c *call) listAssignmentsForPrincipal(in *forPrincipalInput) (any, error) {
	if err := c.instance(in.InstanceArn); err != nil {
		return nil, err
	}
	kind := org.PrincipalKind(in.PrincipalType)
	all := c.listed(func(a org.Assignment) bool {
		if in.Filter != nil && in.Filter.AccountId != "" && string(a.Account) != in.Filter.AccountId {
			return false
		}
		return a.Kind == kind && a.Principal == in.PrincipalId ||
			kind == org.User && a.Kind == org.GroupOfAWS && c.w.Member(org.PersonID(in.PrincipalId), org.GroupID(a.Principal))
	})
	part, next, err := page(c, all, assignmentAnswer.key, ssoPage, in.MaxResults, in.NextToken)
	return listing("AccountAssignments", part, next), err
}

type accountsForSetInput struct {
	InstanceArn        string `aws:"InstanceArn,required"`
	PermissionSetArn   string `aws:"PermissionSetArn,required"`
	ProvisioningStatus string `aws:"ProvisioningStatus"`
	MaxResults         int    `aws:"MaxResults"`
	NextToken          string `aws:"Token"`
}

const notProvisioned = "LATEST_PERMISSION_SET_NOT_PROVISIONED"

// listAccountsForPermissionSet says that a set's latest version is provisioned wherever it is assigned: the sandbox has no
// ProvisionPermissionSet, and no versions.
func (c *call) listAccountsForPermissionSet(in *accountsForSetInput) (any, error) {
	set, err := c.permissionSet(in.InstanceArn, in.PermissionSetArn, false)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, a := range c.listed(func(a org.Assignment) bool { return a.PermissionSet == set.ARN }) {
		ids = append(ids, string(a.AccountId))
	}
	part, next, err := page(c, once(ids, in.ProvisioningStatus), itself, ssoPage, in.MaxResults, in.NextToken)
	return listing("AccountIds", part, next), err
}

type setsInAccountInput struct {
	InstanceArn        string `aws:"InstanceArn,required"`
	AccountId          string `aws:"AccountId,required"`
	ProvisioningStatus string `aws:"ProvisioningStatus"`
	MaxResults         int    `aws:"MaxResults"`
	NextToken          string `aws:"Token"`
}

func (c *call) listPermissionSetsInAccount(in *setsInAccountInput) (any, error) {
	if err := c.instance(in.InstanceArn); err != nil {
		return nil, err
	}
	account := org.AccountID(in.AccountId)
	if err := c.knownAccount(account); err != nil {
		return nil, err
	}
	var arns []string
	for _, a := range c.listed(func(a org.Assignment) bool { return a.Account == account }) {
		arns = append(arns, a.PermissionSetArn)
	}
	part, next, err := page(c, once(arns, in.ProvisioningStatus), itself, ssoPage, in.MaxResults, in.NextToken)
	return listing("PermissionSets", part, next), err
}

func once(texts []string, status string) []string {
	if status == notProvisioned {
		return nil
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}

type assignmentInput struct {
	InstanceArn      string `aws:"InstanceArn,required"`
	TargetId         string `aws:"AccountId,required"`
	TargetType       string `aws:"TargetType,required"`
	PermissionSetArn string `aws:"PermissionSetArn,required"`
	PrincipalType    string `aws:"PrincipalType,required"`
	PrincipalId      string `aws:"PrincipalId,required"`
}

func (c *call) createAccountAssignment(in *assignmentInput) (any, error) {
	op, err := c.begin(world.Create, in)
	return map[string]any{"AccountAssignmentCreationStatus": op}, err
}

func (c *call) deleteAccountAssignment(in *assignmentInput) (any, error) {
	op, err := c.begin(world.Delete, in)
	return map[string]any{"AccountAssignmentDeletionStatus": op}, err
}

// begin accepts an operation. A permission set or an account that is not there is refused at once; a principal that is not
// there makes the operation FAIL later, as AWS was seen to do.
func (c *call) begin(kind world.Kind, in *assignmentInput) (*operationAnswer, error) {
	set, err := c.permissionSet(in.InstanceArn, in.PermissionSetArn, true)
	if err != nil {
		return nil, err
	}
	a := org.Assignment{
		Kind: org.PrincipalKind(in.PrincipalType), Principal: in.PrincipalId,
		Target: org.Target{Account: org.AccountID(in.TargetId), PermissionSet: set.ARN},
	}
	if err := c.knownAccount(a.Account); err != nil {
		return nil, err
	}
	behaviour := c.s.options.Behaviour
	switch {
	case a.Account == c.w.Management && c.caller.account != c.w.Management:
		return nil, c.deny(set.ARN)
	case kind == world.Delete && behaviour.MissingIsNotFound && !c.w.Assigned(a):
		return nil, notFound("The account assignment was not found.")
	case behaviour.Outstanding >= 0 && c.w.Outstanding() >= behaviour.Outstanding:
		return nil, modelled("ThrottlingException", "There are too many requests processing. Please try again later.")
	}
	op, err := c.w.Begin(c.now, kind, a, c.fate)
	if errors.Is(err, world.ErrConflict) {
		return nil, c.op.service.conflict()
	} else if err != nil {
		return nil, fmt.Errorf("beginning an operation: %w", err)
	}
	c.changed = true
	return describedOperation(op), nil
}

type operationAnswer struct {
	Status           world.Status
	RequestId        string
	FailureReason    string `json:",omitempty"`
	TargetId         org.AccountID
	TargetType       string
	PermissionSetArn string
	PrincipalType    org.PrincipalKind
	PrincipalId      string
	CreatedDate      wire.Timestamp
}

func describedOperation(op world.Operation) *operationAnswer {
	a := op.Assignment
	return &operationAnswer{op.Status, op.ID, op.Reason, a.Account, "AWS_ACCOUNT", a.PermissionSet, a.Kind, a.Principal, wire.Timestamp(op.Accepted)}
}

type creationInput struct {
	InstanceArn                        string `aws:"InstanceArn,required"`
	AccountAssignmentCreationRequestId string `aws:"UUId,required"`
}

type deletionInput struct {
	InstanceArn                        string `aws:"InstanceArn,required"`
	AccountAssignmentDeletionRequestId string `aws:"UUId,required"`
}

func (c *call) describeCreation(in *creationInput) (any, error) {
	op, err := c.operation(world.Create, in.InstanceArn, in.AccountAssignmentCreationRequestId)
	return map[string]any{"AccountAssignmentCreationStatus": op}, err
}

func (c *call) describeDeletion(in *deletionInput) (any, error) {
	op, err := c.operation(world.Delete, in.InstanceArn, in.AccountAssignmentDeletionRequestId)
	return map[string]any{"AccountAssignmentDeletionStatus": op}, err
}

func (c *call) operation(kind world.Kind, instance, id string) (*operationAnswer, error) {
	if err := c.instance(instance); err != nil {
		return nil, err
	}
	op, ok := c.w.Operation(id)
	if !ok || op.Kind != kind {
		return nil, notFound("Request with id %s was not found.", id)
	}
	return describedOperation(op), nil
}

type statusFilter struct {
	Status string `aws:"StatusValues"`
}

type listOperationsInput struct {
	InstanceArn string        `aws:"InstanceArn,required"`
	Filter      *statusFilter `aws:"-"`
	MaxResults  int           `aws:"MaxResults"`
	NextToken   string        `aws:"Token"`
}

func (c *call) listCreations(in *listOperationsInput) (any, error) {
	return c.listOperations("AccountAssignmentsCreationStatus", world.Create, in)
}

func (c *call) listDeletions(in *listOperationsInput) (any, error) {
	return c.listOperations("AccountAssignmentsDeletionStatus", world.Delete, in)
}

type operationMetadata struct {
	Status      world.Status
	RequestId   string
	CreatedDate wire.Timestamp
}

// listOperations goes by the order in which operations were accepted; the API reference does not say.
func (c *call) listOperations(name string, kind world.Kind, in *listOperationsInput) (any, error) {
	if err := c.instance(in.InstanceArn); err != nil {
		return nil, err
	}
	all := c.w.Operations(kind)
	if in.Filter != nil && in.Filter.Status != "" {
		all = slices.DeleteFunc(all, func(op world.Operation) bool { return string(op.Status) != in.Filter.Status })
	}
	accepted := func(op world.Operation) string { return fmt.Sprintf("%016d", op.Sequence) }
	part, next, err := page(c, all, accepted, ssoPage, in.MaxResults, in.NextToken)
	answers := make([]operationMetadata, len(part))
	for i, op := range part {
		answers[i] = operationMetadata{op.Status, op.ID, wire.Timestamp(op.Accepted)}
	}
	return listing(name, answers, next), err
}
