package sandbox

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"sparekey/internal/sandbox/wire"
	"sparekey/internal/sandbox/world"
)

// ssoAdminService is the administration of Identity Center.
var ssoAdminService = service{
	name: "sso-admin", target: "SWBExternalService", signing: "sso", regional: true, protocol: wire.JSON, shapes: ssoAdminShapes,
	invalid:   func(v wire.Violations) *wire.Error { return modelled("ValidationException", v.String()) },
	badToken:  refusal(400, "ValidationException", "The pagination token is not valid."),
	throttled: refusal(400, "ThrottlingException", "Rate exceeded"),
	broken:    refusal(500, "InternalServerException", "An internal error occurred."),
	conflict:  refusal(400, "ConflictException", "There is a conflicting operation in process. Please try again later."),
	denied:    func(why string) *wire.Error { return modelled("AccessDeniedException", why) },
	operations: []operation{
		{name: "ListInstances", may: delegated, run: handle((*call).listInstances)},
		{name: "DescribeInstance", may: delegated, run: handle((*call).describeInstance)},
		{name: "ListPermissionSets", may: delegated, run: handle((*call).listPermissionSets)},
		{name: "DescribePermissionSet", may: delegated, run: handle((*call).describePermissionSet)},
		{name: "CreatePermissionSet", may: delegated, run: handle((*call).createPermissionSet)},
		{name: "UpdatePermissionSet", may: delegated, run: handle((*call).updatePermissionSet)},
		{name: "DeletePermissionSet", may: delegated, run: handle((*call).deletePermissionSet)},
		{name: "ListTagsForResource", may: delegated, run: handle((*call).listTagsOfPermissionSet)},
		{name: "GetInlinePolicyForPermissionSet", may: delegated, run: handle((*call).getInlinePolicy)},
		{name: "PutInlinePolicyToPermissionSet", may: delegated, run: handle((*call).putInlinePolicy)},
		{name: "DeleteInlinePolicyFromPermissionSet", may: delegated, run: handle((*call).deleteInlinePolicy)},
		{name: "ListManagedPoliciesInPermissionSet", may: delegated, run: handle((*call).listManagedPolicies)},
		{name: "AttachManagedPolicyToPermissionSet", may: delegated, run: handle((*call).attachManagedPolicy)},
		{name: "DetachManagedPolicyFromPermissionSet", may: delegated, run: handle((*call).detachManagedPolicy)},
		{name: "ListCustomerManagedPolicyReferencesInPermissionSet", may: delegated, run: handle((*call).listCustomerPolicies)},
		{name: "AttachCustomerManagedPolicyReferenceToPermissionSet", may: delegated, run: handle((*call).attachCustomerPolicy)},
		{name: "DetachCustomerManagedPolicyReferenceFromPermissionSet", may: delegated, run: handle((*call).detachCustomerPolicy)},
		{name: "GetPermissionsBoundaryForPermissionSet", may: delegated, run: handle((*call).getBoundary)},
		{name: "PutPermissionsBoundaryToPermissionSet", may: delegated, run: handle((*call).putBoundary)},
		{name: "DeletePermissionsBoundaryFromPermissionSet", may: delegated, run: handle((*call).deleteBoundary)},
		{name: "ListAccountAssignments", may: delegated, run: handle((*call).listAccountAssignments)},
		{name: "ListAccountAssignmentsForPrincipal", may: management, run: handle((*call).listAssignmentsForPrincipal)},
		{name: "ListAccountsForProvisionedPermissionSet", may: delegated, run: handle((*call).listAccountsForPermissionSet)},
		{name: "ListPermissionSetsProvisionedToAccount", may: delegated, run: handle((*call).listPermissionSetsInAccount)},
		{name: "CreateAccountAssignment", may: delegated, async: true, run: handle((*call).createAccountAssignment)},
		{name: "DeleteAccountAssignment", may: delegated, async: true, run: handle((*call).deleteAccountAssignment)},
		{name: "DescribeAccountAssignmentCreationStatus", may: delegated, run: handle((*call).describeCreation)},
		{name: "DescribeAccountAssignmentDeletionStatus", may: delegated, run: handle((*call).describeDeletion)},
		{name: "ListAccountAssignmentCreationStatus", may: delegated, run: handle((*call).listCreations)},
		{name: "ListAccountAssignmentDeletionStatus", may: delegated, run: handle((*call).listDeletions)},
	},
}

const (
	ssoPage     = 100 // items of a page, unless the caller wants fewer
	principalID = `([0-9a-f]{10}-|)[A-Fa-f0-9]{8}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{12}`
	instanceARN = `arn:aws(-[a-z]{1,5}){0,3}:sso:::instance/(sso)?ins-[a-zA-Z0-9-.]{16}`
	setARN      = `arn:aws(-[a-z]{1,5}){0,3}:sso:::permissionSet/(sso)?ins-[a-zA-Z0-9-.]{16}/ps-[a-zA-Z0-9-./]{16}`
	tagText     = `([\p{L}\p{Z}\p{N}_.:/=+\-@]*)`
)

// ssoAdminShapes are those of the model sso-admin-2020-07-20. TaggableResourceArn is cut to what can be tagged here.
var ssoAdminShapes = wire.NewShapes(wire.Shapes{
	"AccountId":           {Min: 12, Max: 12, Pattern: `\d{12}`},
	"Duration":            {Min: 1, Max: 100},
	"InstanceArn":         {Min: 10, Max: 1224, Pattern: instanceARN},
	"ManagedPolicyArn":    {Min: 20, Max: 2048, Pattern: `arn:aws(-[a-z]{1,5}){0,3}:iam::aws:policy((/[A-Za-z0-9\.,\+@=_-]+)*)/([A-Za-z0-9\.,\+=@_-]+)`},
	"ManagedPolicyName":   {Min: 1, Max: 128, Pattern: `[\w+=,.@-]+`},
	"ManagedPolicyPath":   {Min: 1, Max: 512, Pattern: `((/[A-Za-z0-9\.,\+@=_-]+)*)/`},
	"MaxResults":          {Min: 1, Max: 100},
	"PermissionSetArn":    {Min: 10, Max: 1224, Pattern: setARN},
	"Description":         {Min: 1, Max: 700, Pattern: `[\x{0009}\x{000A}\x{000D}\x{0020}-\x{007E}\x{00A1}-\x{00FF}]*`},
	"PermissionSetName":   {Min: 1, Max: 32, Pattern: `[\w+=,.@-]+`},
	"PolicyDocument":      {Min: 1, Max: 32768, Pattern: `[\x{0009}\x{000A}\x{000D}\x{0020}-\x{00FF}]+`},
	"PrincipalId":         {Min: 1, Max: 47, Pattern: principalID},
	"PrincipalType":       {Enum: []string{"USER", "GROUP"}},
	"ProvisioningStatus":  {Enum: []string{"LATEST_PERMISSION_SET_PROVISIONED", "LATEST_PERMISSION_SET_NOT_PROVISIONED"}},
	"RelayState":          {Min: 1, Max: 240, Pattern: "[a-zA-Z0-9&$@#\\\\\\/%?=~\\-_'\"|!:,.;*+\\[\\]\\ \\(\\)\\{\\}]+"},
	"StatusValues":        {Enum: []string{"IN_PROGRESS", "FAILED", "SUCCEEDED"}},
	"TagKey":              {Min: 1, Max: 128, Pattern: tagText},
	"TagList":             {Max: 75},
	"TagValue":            {Max: 256, Pattern: tagText},
	"TaggableResourceArn": {Min: 10, Max: 2048, Pattern: instanceARN + "|" + setARN},
	"TargetType":          {Enum: []string{"AWS_ACCOUNT"}},
	"Token":               {Max: 2048, Pattern: `[-a-zA-Z0-9+=/_]*`},
	"UUId":                {Min: 36, Max: 36, Pattern: `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`},
})

func notFound(format string, args ...any) *wire.Error {
	return modelled("ResourceNotFoundException", fmt.Sprintf(format, args...))
}

func invalid(format string, args ...any) *wire.Error {
	return modelled("ValidationException", fmt.Sprintf(format, args...))
}

// permissionSet finds a permission set of the instance. One that the management account uses is closed to the delegated
// administrator when it is to be changed or assigned (IAM Identity Center User Guide, "Delegated administration").
func (c *call) permissionSet(instance, arn string, change bool) (*world.PermissionSet, error) {
	if err := c.instance(instance); err != nil {
		return nil, err
	}
	set, ok := c.w.PermissionSet(arn)
	if !ok {
		return nil, notFound("PermissionSet with id %s was not found.", arn[strings.LastIndexByte(arn, '/')+1:])
	}
	if change && c.caller.account != c.w.Management {
		for _, r := range c.w.Roles() {
			if r.Account == c.w.Management && r.PermissionSet == set.ARN {
				return nil, c.deny(set.ARN)
			}
		}
	}
	return set, nil
}

func (c *call) instance(arn string) error {
	if arn != c.w.Instance {
		return notFound("Instance %s was not found.", arn)
	}
	return nil
}

type paging struct {
	MaxResults int    `aws:"MaxResults"`
	NextToken  string `aws:"Token"`
}

type listInstancesInput paging

func (c *call) listInstances(in *listInstancesInput) (any, error) {
	one := []map[string]any{c.describedInstance()}
	part, next, err := page(c, one, func(map[string]any) string { return c.w.Instance }, ssoPage, in.MaxResults, in.NextToken)
	return listing("Instances", part, next), err
}

func (c *call) describedInstance() map[string]any {
	return map[string]any{
		"InstanceArn": c.w.Instance, "IdentityStoreId": c.w.Store, "OwnerAccountId": c.w.Management, "Status": "ACTIVE",
		"CreatedDate": wire.Timestamp(c.w.Created),
	}
}

type instanceInput struct {
	InstanceArn string `aws:"InstanceArn,required"`
}

// describeInstance denies access to another instance: its model has no error for one that is not found.
func (c *call) describeInstance(in *instanceInput) (any, error) {
	if in.InstanceArn != c.w.Instance {
		return nil, c.deny(in.InstanceArn)
	}
	return c.describedInstance(), nil
}

type listPermissionSetsInput struct {
	InstanceArn string `aws:"InstanceArn,required"`
	MaxResults  int    `aws:"MaxResults"`
	NextToken   string `aws:"Token"`
}

func (c *call) listPermissionSets(in *listPermissionSetsInput) (any, error) {
	if err := c.instance(in.InstanceArn); err != nil {
		return nil, err
	}
	var arns []string
	for _, set := range c.w.PermissionSets() {
		arns = append(arns, set.ARN)
	}
	part, next, err := page(c, arns, itself, ssoPage, in.MaxResults, in.NextToken)
	return listing("PermissionSets", part, next), err
}

func itself(text string) string { return text }

type permissionSetInput struct {
	InstanceArn      string `aws:"InstanceArn,required"`
	PermissionSetArn string `aws:"PermissionSetArn,required"`
}

type permissionSetAnswer struct {
	Name             string
	PermissionSetArn string
	Description      string `json:",omitempty"`
	CreatedDate      wire.Timestamp
	SessionDuration  string
	RelayState       string `json:",omitempty"`
}

func describedSet(s *world.PermissionSet) map[string]any {
	return map[string]any{"PermissionSet": permissionSetAnswer{
		s.Name, s.ARN, s.Description, wire.Timestamp(s.Created), isoDuration(s.Session), s.RelayState,
	}}
}

func (c *call) describePermissionSet(in *permissionSetInput) (any, error) {
	set, err := c.permissionSet(in.InstanceArn, in.PermissionSetArn, false)
	if err != nil {
		return nil, err
	}
	return describedSet(set), nil
}

type tagInput struct {
	Key   string `aws:"TagKey,required"`
	Value string `aws:"TagValue,required"`
}

type createPermissionSetInput struct {
	InstanceArn     string     `aws:"InstanceArn,required"`
	Name            string     `aws:"PermissionSetName,required"`
	Description     string     `aws:"Description"`
	SessionDuration string     `aws:"Duration"`
	RelayState      string     `aws:"RelayState"`
	Tags            []tagInput `aws:"TagList"`
}

func (c *call) createPermissionSet(in *createPermissionSetInput) (any, error) {
	if err := c.instance(in.InstanceArn); err != nil {
		return nil, err
	}
	set := world.PermissionSet{Created: c.now, RelayState: in.RelayState, Tags: map[string]string{}}
	set.Name, set.Description, set.Session = in.Name, in.Description, time.Hour
	if in.SessionDuration != "" {
		var err error
		if set.Session, err = sessionDuration(in.SessionDuration); err != nil {
			return nil, err
		}
	}
	for _, t := range in.Tags {
		if _, twice := set.Tags[t.Key]; twice || strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return nil, invalid("The tag key %s is reserved or is there twice.", t.Key)
		}
		set.Tags[t.Key] = t.Value
	}
	made, err := c.w.AddPermissionSet(set)
	if err != nil {
		return nil, modelled("ConflictException", "PermissionSet with name "+in.Name+" already exists.")
	}
	c.changed, c.subject.PermissionSet = true, made.ARN
	return describedSet(made), nil
}

type updatePermissionSetInput struct {
	InstanceArn      string `aws:"InstanceArn,required"`
	PermissionSetArn string `aws:"PermissionSetArn,required"`
	Description      string `aws:"Description"`
	SessionDuration  string `aws:"Duration"`
	RelayState       string `aws:"RelayState"`
}

// updatePermissionSet leaves alone what the request does not mention; the API reference does not say.
func (c *call) updatePermissionSet(in *updatePermissionSetInput) (any, error) {
	set, err := c.permissionSet(in.InstanceArn, in.PermissionSetArn, true)
	if err != nil {
		return nil, err
	}
	session := set.Session
	if in.SessionDuration != "" {
		if session, err = sessionDuration(in.SessionDuration); err != nil {
			return nil, err
		}
	}
	set.Session = session
	if in.Description != "" {
		set.Description = in.Description
	}
	if in.RelayState != "" {
		set.RelayState = in.RelayState
	}
	c.changed = true
	return struct{}{}, nil
}

func (c *call) deletePermissionSet(in *permissionSetInput) (any, error) {
	set, err := c.permissionSet(in.InstanceArn, in.PermissionSetArn, true)
	if err != nil {
		return nil, err
	}
	if c.w.RemovePermissionSet(set.ARN) != nil {
		return nil, modelled("ConflictException", "Could not delete because PermissionSet has account assignments.")
	}
	c.changed = true
	return struct{}{}, nil
}

type listTagsInput struct {
	InstanceArn string `aws:"InstanceArn"`
	ResourceArn string `aws:"TaggableResourceArn,required"`
	NextToken   string `aws:"Token"`
}

func (c *call) listTagsOfPermissionSet(in *listTagsInput) (any, error) {
	var own map[string]string
	if in.ResourceArn != c.w.Instance {
		set, err := c.permissionSet(c.w.Instance, in.ResourceArn, false)
		if err != nil {
			return nil, err
		}
		own = set.Tags
	}
	part, next, err := page(c, tagsOf(own), tagAnswer.key, ssoPage, 0, in.NextToken)
	return listing("Tags", part, next), err
}

type tagAnswer struct{ Key, Value string }

func (t tagAnswer) key() string { return t.Key }

func tagsOf(tags map[string]string) []tagAnswer {
	var all []tagAnswer
	for key, value := range tags {
		all = append(all, tagAnswer{key, value})
	}
	return all
}

var isoPattern = regexp.MustCompile(`^P(?:(\d{1,3})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,5})M)?(?:(\d{1,6})S)?)?$`)

// sessionDuration reads an ISO 8601 duration of one to twelve hours (API reference, CreatePermissionSet; User Guide, "Set
// session duration for AWS accounts").
func sessionDuration(text string) (time.Duration, error) {
	m := isoPattern.FindStringSubmatch(text)
	if m == nil || strings.HasSuffix(text, "T") || text == "P" {
		return 0, invalid("The session duration %s is not an ISO 8601 duration.", text)
	}
	var d time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, _ := strconv.Atoi(m[i+1]) // digits, or nothing
		d += time.Duration(n) * unit
	}
	if d < time.Hour || d > 12*time.Hour {
		return 0, invalid("The session duration must be between 1 hour and 12 hours.")
	}
	return d, nil
}

func isoDuration(d time.Duration) string {
	text := "PT"
	for _, unit := range []struct {
		size   time.Duration
		letter string
	}{{time.Hour, "H"}, {time.Minute, "M"}, {time.Second, "S"}} {
		if n := d / unit.size; n > 0 {
			text += strconv.Itoa(int(n)) + unit.letter
			d -= n * unit.size
		}
	}
	return text
}
