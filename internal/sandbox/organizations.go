package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sparekey/internal/sandbox/wire"
	"sparekey/internal/sandbox/world"
	"sparekey/org"
)

// organizationsService is the tree of accounts. Which accounts may call what is said with each operation in its API reference.
var organizationsService = service{
	name: "organizations", target: "AWSOrganizationsV20161128", signing: "organizations", protocol: wire.JSON, shapes: organizationsShapes,
	invalid:   invalidInput,
	badToken:  func() *wire.Error { return badInput("INVALID_NEXT_TOKEN", "You specified an invalid NextToken.") },
	throttled: refusal(400, "TooManyRequestsException", "You have sent too many requests in too short a period of time. Try again later."),
	broken:    refusal(500, "ServiceException", "AWS Organizations can't complete your request because of an internal service error. Try again later."),
	conflict:  refusal(400, "ConcurrentModificationException", "The target of the operation is currently being modified by a different request. Try again later."),
	denied: func(string) *wire.Error {
		return modelled("AccessDeniedException", "You don't have permissions to access this resource.")
	},
	operations: append([]operation{
		{name: "DescribeOrganization", may: members, run: handle((*call).describeOrganization)},
		{name: "ListRoots", may: delegated, run: handle((*call).listRoots)},
		{name: "ListOrganizationalUnitsForParent", may: delegated, run: handle((*call).listOUs)},
		{name: "ListAccountsForParent", may: delegated, run: handle((*call).listAccountsForParent)},
		{name: "ListAccounts", may: delegated, run: handle((*call).listAccounts)},
		{name: "DescribeAccount", may: delegated, run: handle((*call).describeAccount)},
		{name: "DescribeOrganizationalUnit", may: delegated, run: handle((*call).describeOU)},
		{name: "ListParents", may: delegated, run: handle((*call).listParents)},
		{name: "ListChildren", may: delegated, run: handle((*call).listChildren)},
		{name: "ListTagsForResource", may: delegated, run: handle((*call).listTags)},
		{name: "TagResource", may: delegated, run: handle((*call).tagResource)},
		{name: "UntagResource", may: delegated, run: handle((*call).untagResource)},
		{name: "CreateOrganizationalUnit", may: management, run: handle((*call).createOU)},
		{name: "MoveAccount", may: management, run: handle((*call).moveAccount)},
		{name: "CreateAccount", may: management, run: handle((*call).createAccount)},
		{name: "DescribeCreateAccountStatus", may: delegated, run: handle((*call).describeCreateAccount)},
	}, scpOperations...),
}

const (
	orgPage  = 20 // items of a page, unless the caller wants fewer
	tagPage  = 50 // the most tags that a resource may have (Quotas for AWS Organizations)
	ouDepth  = 5  // how deep organizational units nest (the same page)
	parentID = `r-[0-9a-z]{4,32}|ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}`
)

// organizationsShapes are those of the model organizations-2016-11-28, whose alternatives are anchored by halves; what they
// mean is written here.
var organizationsShapes = wire.NewShapes(wire.Shapes{
	"AccountId":              {Max: 12, Pattern: `\d{12}`},
	"ChildId":                {Max: 100, Pattern: `\d{12}|ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}`},
	"ChildType":              {Enum: []string{"ACCOUNT", "ORGANIZATIONAL_UNIT"}},
	"CreateAccountName":      {Min: 1, Max: 50, Pattern: `[\x{0020}-\x{007E}]+`},
	"CreateAccountRequestId": {Max: 36, Pattern: `car-[a-z0-9]{8,32}`},
	"Email":                  {Min: 6, Max: 64, Pattern: `[^\s@]+@[^\s@]+\.[^\s@]+`},
	"IAMUserAccessToBilling": {Enum: []string{"ALLOW", "DENY"}},
	"MaxResults":             {Min: 1, Max: 20},
	"NextToken":              {Max: 100000},
	"OrganizationalUnitId":   {Max: 68, Pattern: `ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}`},
	"OrganizationalUnitName": {Min: 1, Max: 128},
	"ParentId":               {Max: 100, Pattern: parentID},
	"PolicyContent":          {Min: 1, Pattern: `[\s\S]*`},
	"PolicyDescription":      {Max: 512, Pattern: `[\s\S]*`},
	"PolicyId":               {Max: 130, Pattern: `p-[0-9a-zA-Z_]{8,128}`},
	"PolicyName":             {Min: 1, Max: 128, Pattern: `[\s\S]*`},
	"PolicyTargetId":         {Max: 100, Pattern: parentID + `|\d{12}`},
	"PolicyType": {Enum: []string{
		"SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY", "TAG_POLICY", "BACKUP_POLICY", "AISERVICES_OPT_OUT_POLICY", "CHATBOT_POLICY", "DECLARATIVE_POLICY_EC2",
		"SECURITYHUB_POLICY", "INSPECTOR_POLICY", "UPGRADE_ROLLOUT_POLICY", "BEDROCK_POLICY", "S3_POLICY", "NETWORK_SECURITY_DIRECTOR_POLICY",
	}},
	"RoleName":           {Max: 64, Pattern: `[\w+=,.@-]{1,64}`},
	"TagKey":             {Min: 1, Max: 128, Pattern: tagText},
	"TagValue":           {Max: 256, Pattern: tagText},
	"TaggableResourceId": {Max: 130, Pattern: parentID + `|\d{12}|p-[0-9a-zA-Z_]{8,128}|rp-[0-9a-zA-Z_]{4,128}|rt-[0-9a-zA-Z_]{8,32}`},
})

func badInput(reason, format string, args ...any) *wire.Error {
	return modelled("InvalidInputException", fmt.Sprintf(format, args...)).With("Reason", reason)
}

func tooMany(reason, message string) *wire.Error {
	return modelled("ConstraintViolationException", message).With("Reason", reason)
}

// invalidInput makes the error of Organizations, which has one reason, of the first violation.
func invalidInput(v wire.Violations) *wire.Error {
	reasons := map[wire.Constraint]string{
		wire.Required: "INPUT_REQUIRED", wire.TooShort: "MIN_LENGTH_EXCEEDED", wire.TooLong: "MAX_LENGTH_EXCEEDED", wire.TooSmall: "MIN_VALUE_EXCEEDED",
		wire.TooLarge: "MAX_VALUE_EXCEEDED", wire.Pattern: "INVALID_PATTERN", wire.Enum: "INVALID_ENUM",
	}
	return badInput(reasons[v[0].Constraint], "%s", v.String())
}

func (c *call) describeOrganization(*struct{}) (any, error) {
	management, _ := c.w.Account(c.w.Management)
	return map[string]any{"Organization": map[string]any{
		"Id": c.w.ID, "Arn": c.w.ARN("organization", ""), "FeatureSet": "ALL", "MasterAccountId": management.ID,
		"MasterAccountArn": c.w.ARN("account", string(management.ID)), "MasterAccountEmail": management.Email, "AvailablePolicyTypes": []any{},
	}}, nil
}

type orgListInput struct {
	MaxResults int    `aws:"MaxResults"`
	NextToken  string `aws:"NextToken"`
}

type rootAnswer struct {
	Id          org.OUID
	Arn, Name   string
	PolicyTypes []any
}

func (r rootAnswer) key() string { return string(r.Id) }

func (c *call) listRoots(in *orgListInput) (any, error) {
	roots := []rootAnswer{{c.w.Root, c.w.ARN("root", string(c.w.Root)), "Root", []any{}}}
	part, next, err := page(c, roots, rootAnswer.key, orgPage, in.MaxResults, in.NextToken)
	return listing("Roots", part, next), err
}

type parentInput struct {
	ParentId   string `aws:"ParentId,required"`
	MaxResults int    `aws:"MaxResults"`
	NextToken  string `aws:"NextToken"`
}

func (c *call) parent(id string) error {
	if !c.w.IsParent(org.OUID(id)) {
		return modelled("ParentNotFoundException", "You specified parent that doesn't exist.")
	}
	return nil
}

type ouAnswer struct {
	Id              org.OUID
	Arn, Name, Path string
}

func (o ouAnswer) key() string { return string(o.Id) }

func (c *call) describedOU(ou org.OU) ouAnswer {
	return ouAnswer{ou.ID, c.w.ARN("ou", string(ou.ID)), ou.Name, c.w.Path(ou.ID)}
}

func (c *call) listOUs(in *parentInput) (any, error) {
	if err := c.parent(in.ParentId); err != nil {
		return nil, err
	}
	var all []ouAnswer
	for _, ou := range c.w.OUs() {
		if string(ou.Parent) == in.ParentId {
			all = append(all, c.describedOU(ou))
		}
	}
	part, next, err := page(c, all, ouAnswer.key, orgPage, in.MaxResults, in.NextToken)
	return listing("OrganizationalUnits", part, next), err
}

type accountAnswer struct {
	Id               org.AccountID
	Arn, Email, Name string
	Status, State    org.AccountState
	Paths            []string
	JoinedMethod     string
	JoinedTimestamp  wire.Timestamp
}

func (c *call) describedAccount(a *world.Account) accountAnswer {
	joined := "INVITED"
	if a.Created {
		joined = "CREATED"
	}
	// Status, which AWS retires, has only some of the values of State (the model organizations-2016-11-28).
	status := a.State
	if !slices.Contains([]org.AccountState{org.AccountActive, "PENDING_CLOSURE"}, status) {
		status = org.AccountSuspended
	}
	return accountAnswer{
		a.ID, c.w.ARN("account", string(a.ID)), a.Email, a.Name, status, a.State,
		[]string{c.w.Path(a.Parent) + string(a.ID) + "/"}, joined, wire.Timestamp(a.Joined),
	}
}

func (c *call) accounts(in orgListInput, which func(*world.Account) bool) (any, error) {
	var all []*world.Account
	for _, a := range c.w.Accounts() {
		if which(a) {
			all = append(all, a)
		}
	}
	part, next, err := page(c, all, func(a *world.Account) string { return string(a.ID) }, orgPage, in.MaxResults, in.NextToken)
	answers := make([]accountAnswer, len(part))
	for i, a := range part {
		answers[i] = c.describedAccount(a)
	}
	return listing("Accounts", answers, next), err
}

func (c *call) listAccounts(in *orgListInput) (any, error) {
	return c.accounts(*in, func(*world.Account) bool { return true })
}

func (c *call) listAccountsForParent(in *parentInput) (any, error) {
	if err := c.parent(in.ParentId); err != nil {
		return nil, err
	}
	return c.accounts(orgListInput{in.MaxResults, in.NextToken}, func(a *world.Account) bool { return string(a.Parent) == in.ParentId })
}

type accountInput struct {
	AccountId string `aws:"AccountId,required"`
}

func (c *call) describeAccount(in *accountInput) (any, error) {
	a, err := c.account(in.AccountId)
	if err != nil {
		return nil, err
	}
	return map[string]any{"Account": c.describedAccount(a)}, nil
}

func (c *call) account(id string) (*world.Account, error) {
	a, ok := c.w.Account(org.AccountID(id))
	if !ok {
		return nil, modelled("AccountNotFoundException", "You specified an account that doesn't exist.")
	}
	return a, nil
}

type ouInput struct {
	OrganizationalUnitId string `aws:"OrganizationalUnitId,required"`
}

func (c *call) describeOU(in *ouInput) (any, error) {
	ou, ok := c.w.OU(org.OUID(in.OrganizationalUnitId))
	if !ok {
		return nil, modelled("OrganizationalUnitNotFoundException", "You specified an organizational unit that doesn't exist.")
	}
	return map[string]any{"OrganizationalUnit": c.describedOU(ou)}, nil
}

type relation struct{ Id, Type string }

func (r relation) key() string { return r.Id }

type childInput struct {
	ChildId    string `aws:"ChildId,required"`
	MaxResults int    `aws:"MaxResults"`
	NextToken  string `aws:"NextToken"`
}

func (c *call) listParents(in *childInput) (any, error) {
	var parent org.OUID
	if a, ok := c.w.Account(org.AccountID(in.ChildId)); ok {
		parent = a.Parent
	} else if ou, ok := c.w.OU(org.OUID(in.ChildId)); ok {
		parent = ou.Parent
	} else {
		return nil, modelled("ChildNotFoundException", "You specified an organizational unit or account that doesn't exist.")
	}
	kind := "ORGANIZATIONAL_UNIT"
	if parent == c.w.Root {
		kind = "ROOT"
	}
	part, next, err := page(c, []relation{{string(parent), kind}}, relation.key, orgPage, in.MaxResults, in.NextToken)
	return listing("Parents", part, next), err
}

type childrenInput struct {
	ParentId   string `aws:"ParentId,required"`
	ChildType  string `aws:"ChildType,required"`
	MaxResults int    `aws:"MaxResults"`
	NextToken  string `aws:"NextToken"`
}

func (c *call) listChildren(in *childrenInput) (any, error) {
	if err := c.parent(in.ParentId); err != nil {
		return nil, err
	}
	var all []relation
	for _, a := range c.w.Accounts() {
		if in.ChildType == "ACCOUNT" && string(a.Parent) == in.ParentId {
			all = append(all, relation{string(a.ID), in.ChildType})
		}
	}
	for _, ou := range c.w.OUs() {
		if in.ChildType == "ORGANIZATIONAL_UNIT" && string(ou.Parent) == in.ParentId {
			all = append(all, relation{string(ou.ID), in.ChildType})
		}
	}
	part, next, err := page(c, all, relation.key, orgPage, in.MaxResults, in.NextToken)
	return listing("Children", part, next), err
}

type resourceInput struct {
	ResourceId string `aws:"TaggableResourceId,required"`
	NextToken  string `aws:"NextToken"`
}

func (c *call) tags(resource string) (map[string]string, error) {
	tags, ok := c.w.Tags(resource)
	if !ok {
		return nil, modelled("TargetNotFoundException", "You specified a target that doesn't exist.")
	}
	return tags, nil
}

func (c *call) listTags(in *resourceInput) (any, error) {
	tags, err := c.tags(in.ResourceId)
	if err != nil {
		return nil, err
	}
	part, next, err := page(c, tagsOf(tags), tagAnswer.key, tagPage, 0, in.NextToken)
	return listing("Tags", part, next), err
}

type tagResourceInput struct {
	ResourceId string     `aws:"TaggableResourceId,required"`
	Tags       []tagInput `aws:"-,required"`
}

func newTags(tags []tagInput) (map[string]string, error) {
	fresh := map[string]string{}
	for _, t := range tags {
		if strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return nil, badInput("INVALID_SYSTEM_TAGS_PARAMETER", "The tag key %s is reserved.", t.Key)
		}
		if _, twice := fresh[t.Key]; twice {
			return nil, badInput("DUPLICATE_TAG_KEY", "The tag key %s is there twice.", t.Key)
		}
		fresh[t.Key] = t.Value
	}
	return fresh, nil
}

func (c *call) tagResource(in *tagResourceInput) (any, error) {
	tags, err := c.tags(in.ResourceId)
	if err != nil {
		return nil, err
	}
	fresh, err := newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	count := len(tags)
	for key := range fresh {
		if _, ok := tags[key]; !ok {
			count++
		}
	}
	if count > tagPage {
		return nil, tooMany("MAX_TAG_LIMIT_EXCEEDED", "You have exceeded the number of tags allowed on this resource.")
	}
	for key, value := range fresh {
		tags[key] = value
	}
	c.changed = true
	return nil, nil
}

type untagResourceInput struct {
	ResourceId string   `aws:"TaggableResourceId,required"`
	TagKeys    []string `aws:"-,required,each=TagKey"`
}

func (c *call) untagResource(in *untagResourceInput) (any, error) {
	tags, err := c.tags(in.ResourceId)
	if err != nil {
		return nil, err
	}
	for _, key := range in.TagKeys {
		delete(tags, key)
	}
	c.changed = true
	return nil, nil
}

type createOUInput struct {
	ParentId string     `aws:"ParentId,required"`
	Name     string     `aws:"OrganizationalUnitName,required"`
	Tags     []tagInput `aws:"-"`
}

func (c *call) createOU(in *createOUInput) (any, error) {
	if err := c.parent(in.ParentId); err != nil {
		return nil, err
	}
	tags, err := newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	if c.w.Depth(org.OUID(in.ParentId)) >= ouDepth {
		return nil, tooMany("OU_DEPTH_LIMIT_EXCEEDED", "You have exceeded the depth limit of an organizational unit tree.")
	}
	ou, err := c.w.AddOU(org.OUID(in.ParentId), in.Name, tags)
	if errors.Is(err, world.ErrExists) {
		return nil, modelled("DuplicateOrganizationalUnitException", "An organizational unit with the same name already exists.")
	} else if err != nil {
		return nil, fmt.Errorf("adding an organizational unit: %w", err)
	}
	c.changed = true
	return map[string]any{"OrganizationalUnit": c.describedOU(ou)}, nil
}

type moveAccountInput struct {
	AccountId           string `aws:"AccountId,required"`
	SourceParentId      string `aws:"ParentId,required"`
	DestinationParentId string `aws:"ParentId,required"`
}

func (c *call) moveAccount(in *moveAccountInput) (any, error) {
	a, err := c.account(in.AccountId)
	switch {
	case err != nil:
		return nil, err
	case string(a.Parent) != in.SourceParentId:
		return nil, modelled("SourceParentNotFoundException", "You specified a source parent that doesn't hold the account.")
	case !c.w.IsParent(org.OUID(in.DestinationParentId)):
		return nil, modelled("DestinationParentNotFoundException", "You specified a destination parent that doesn't exist.")
	case in.SourceParentId == in.DestinationParentId:
		return nil, modelled("DuplicateAccountException", "The account is already in the destination.")
	}
	c.changed = true
	return nil, c.w.MoveAccount(a.ID, org.OUID(in.DestinationParentId))
}

type createAccountInput struct {
	Email                  string     `aws:"Email,required"`
	AccountName            string     `aws:"CreateAccountName,required"`
	RoleName               string     `aws:"RoleName"`
	IamUserAccessToBilling string     `aws:"IAMUserAccessToBilling"`
	Tags                   []tagInput `aws:"-"`
}

func (c *call) createAccount(in *createAccountInput) (any, error) {
	tags, err := newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	c.changed = true
	return describedCreation(c.w.CreateAccount(c.now, in.AccountName, in.Email, tags)), nil
}

type accountCreationInput struct {
	CreateAccountRequestId string `aws:"CreateAccountRequestId,required"`
}

func (c *call) describeCreateAccount(in *accountCreationInput) (any, error) {
	creation, ok := c.w.AccountCreation(in.CreateAccountRequestId)
	if !ok {
		return nil, modelled("CreateAccountStatusNotFoundException", "You specified a create account request that doesn't exist.")
	}
	return describedCreation(creation), nil
}

type accountCreationAnswer struct {
	Id, AccountName    string
	State              world.Status
	RequestedTimestamp wire.Timestamp
	CompletedTimestamp *wire.Timestamp `json:",omitempty"`
	AccountId          org.AccountID   `json:",omitempty"`
	FailureReason      string          `json:",omitempty"`
}

func describedCreation(a world.AccountCreation) map[string]any {
	answer := accountCreationAnswer{a.ID, a.Name, a.Status, wire.Timestamp(a.Requested), nil, a.Account, a.Reason}
	if a.Status != world.InProgress {
		completed := wire.Timestamp(a.Completed)
		answer.CompletedTimestamp = &completed
	}
	return map[string]any{"CreateAccountStatus": answer}
}
