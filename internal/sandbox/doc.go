// Package sandbox imitates an AWS organization at the wire, for the demo and the tests.
//
// A [Sandbox] is an [net/http.Handler] that the AWS SDKs, the AWS CLI and botocore talk to unchanged, with one address as the
// endpoint of all services: sso-admin, identitystore, organizations, sts, sso-oidc and sso (the access portal's API). It holds
// one organization in memory. Signatures are verified, requests are checked against the services' models, errors have AWS's
// codes, and what AWS does later happens later, by the sandbox's clock. It has no policies: what AWS lets an account do, every
// key of that account may do. Policies of permission sets and of sessions are kept and shown, and have no effect. Service
// control policies have one: see below.
//
// The parts: package world keeps the organization and its unfinished work; package wire reads requests and writes answers
// as the models say; package sigv4 verifies signatures; this package has the operations, and everything that tests and the
// demo need beside AWS: the truth behind the listings ([Sandbox.Assigned], [Sandbox.Roles]), a log of calls
// ([Sandbox.Calls]), a way to play everybody else ([Sandbox.Change]), and faults ([Sandbox.Script]).
//
// # What it does as AWS does
//
// Creating and deleting an assignment is accepted at once and ends later, SUCCEEDED or FAILED. Operations in one account end
// one after another. The role AWSReservedSSO_NAME_SUFFIX appears in an account with the first assignment of its permission
// set and goes with the last; when it comes again, it has another suffix. At most 20 calls per second and 10 unfinished
// operations are taken. Credentials of a role live as long as the permission set's session, also when the assignment is
// removed before. The delegated administrator can neither assign in the management account nor touch a permission set that
// is assigned there. ListAccountAssignmentsForPrincipal takes the management account only.
//
// AssumeRole opens the IAM roles of [Options.Roles] to the accounts that they trust, from 15 minutes to the role's maximum;
// a session that assumes a role gets an hour at most. More than is allowed fails. A source identity and transitive tags are
// handed on from session to session and cannot be changed. The log of calls shows what was asked for: see [Assumed].
//
// Service control policies can be made, changed and attached. A statement that denies everything to a person of the identity
// store (identitystore:userId), in a role (aws:PrincipalArn), from before a time (aws:TokenIssueTime) takes what it can do here
// from a session that was opened through the access portal: to assume further roles. Other statements have no effect, and in
// the management account none has.
//
// # What AWS leaves open, and what is chosen here
//
//   - Creating an assignment that exists SUCCEEDS and changes nothing. So does deleting one that does not; with
//     MissingIsNotFound it is a ResourceNotFoundException.
//   - An account or a permission set that does not exist is a ResourceNotFoundException. Creating for a principal that does
//     not makes the operation end FAILED. The assignment of a removed person stays listed and can be deleted, as the tools
//     that clean up orphaned assignments do; with OrphansStay that FAILS, as terraform-provider-aws issue 19341 saw in 2021.
//     In an account that is not active every operation ends FAILED, with the words of
//     aws-identitycenter-codepipeline-auto-assignment issue 31.
//   - Any second operation on an assignment is a ConflictException until the first has ended.
//   - ListAccountAssignmentsForPrincipal lists for a user also what comes through groups, with the group as the principal.
//   - The portal answers ForbiddenException, "No access", to a person who may not have a role, which is known (aws-cli issue
//     6316) and not in its model; to one who is disabled or removed, UnauthorizedException. A person whose status the
//     identity store leaves out may sign in. Roles in accounts that are not active cannot be opened.
//   - A refresh token works once, and gives the next one. A client that asks neither for refresh tokens nor for the scope
//     sso:account:access gets an access token for the whole session. Polling for a device more often than once a second is
//     SlowDownException.
//   - GetGroupMembershipId names in ResourceType what is missing: the group, the user or the membership. Attaching a policy
//     that is attached is a ConflictException, detaching one that is not a ResourceNotFoundException; deleting an inline policy
//     that is not there succeeds.
//   - A role that is not there, or whose account is not active, is AccessDenied as one that does not trust the caller. A
//     session policy is JSON with a Statement, of at most 2,048 characters; PackedPolicySize is the share of those.
//   - A session that another assumes no longer knows the person of the identity store. A service control policy is in effect as
//     soon as it was updated. Nothing is attached at the beginning, and the type need not be enabled.
//   - Lists go by id, and operations by when they were accepted.
//   - UpdatePermissionSet leaves alone what it does not mention. Permission sets have no versions: the latest is always
//     provisioned.
//   - The JSON services answer HTTP 400 to bad signatures. A request may have 1 MiB.
//   - sso-admin and identitystore take signatures for Identity Center's Region only; organizations and sts for any.
//
// Not here: signatures in the query string, the authorization code grant, what policies mean, MFA and external ids of AssumeRole, attributes of people beyond
// name, mail address and status, and every operation that GET /_sandbox/operations does not list.
//
// # Control calls
//
// Below /_sandbox/ are calls for tests in other languages and for the demo's command line. They take the header
// "Authorization: Bearer" with [Sandbox.Control], and JSON without unknown members. Accounts are ids; permission sets, people
// and groups are ids (or ARNs) or names; durations are written 1m30s. What cannot be read is HTTP 400, what cannot be done
// now is 409, each with a member "error".
//
//	GET    state        what there is: see [State]
//	GET    calls        the log: see [Call]
//	GET    operations   [{"service": "sso-admin", "operation": "ListInstances"}, …]
//	GET    faults       the faults, with how many calls each met and befell
//	POST   faults       {"faults": [{"kind": "late", "operation": "CreateAccountAssignment", "delay": "1m", "times": 1}]}: see [Fault]
//	DELETE faults       removes all
//	POST   device       {"userCode": "1A2B-3C4D", "person": "dana"} confirms a sign-in; {"userCode": …, "deny": true} refuses it
//	POST   clock        {"advance": "90s"}, if the sandbox runs on a [ManualClock]
//	POST   people       {"person": "dana", "status": "disabled", "join": ["oncall"], "leave": ["developers"]}
//	POST   assignments  {"add": [{"account": "…", "permissionSet": "Admin", "principal": "dana"}], "remove": […]}, at once
//	POST   keys         {"account": "…", "user": "x"} answers the access key of a user of that account: see [Sandbox.Key]
package sandbox
