"""Judges every answer of the sandbox by botocore's models.

It calls each operation that the sandbox offers, successfully and in every wrong way that it can think of, takes the raw
HTTP answers before botocore parses them, and walks each against the output shape or the error shape of its operation:
required and unknown members, JSON types, forms of timestamps, enumerations, patterns, lengths and ranges, error codes and
HTTP statuses. It prints each deviation and a summary, and exits with 1 if there is any deviation or if an operation was
never called successfully.

The sandbox must run on a manual clock. What it needs to know comes in the environment, never as arguments:

    SANDBOX_URL, SANDBOX_REGION, SANDBOX_KEY, SANDBOX_SECRET (of the management account), SANDBOX_CONTROL (the control token)
"""

import collections
import email.utils
import functools
import json
import os
import re
import sys
import unicodedata
import urllib.error
import urllib.request
import xml.etree.ElementTree as xml

import botocore.config
import botocore.exceptions
import botocore.session

URL = os.environ["SANDBOX_URL"]
REGION = os.environ["SANDBOX_REGION"]
CONTROL = os.environ["SANDBOX_CONTROL"]
KEY = (os.environ["SANDBOX_KEY"], os.environ["SANDBOX_SECRET"], None)

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

# AWS's common errors with the HTTP statuses under which they are known ("Common Errors" in the services' API references; the
# JSON services answer 400 where the pages say 403).
COMMON = {
    "json": {
        "AccessDeniedException": {400, 403},
        "ExpiredTokenException": {400, 403},
        "IncompleteSignatureException": {400, 403},
        "InvalidSignatureException": {400, 403},
        "MissingAuthenticationTokenException": {400, 403},
        "RequestEntityTooLargeException": {413},
        "SerializationException": {400},
        "UnknownOperationException": {400, 404},
        "UnrecognizedClientException": {400, 403},
    },
    "query": {
        "AccessDenied": {403},
        "ExpiredToken": {400, 403},
        "IncompleteSignature": {400, 403},
        "InternalFailure": {500},
        "InvalidAction": {400},
        "InvalidClientTokenId": {403},
        "MissingAuthenticationToken": {403},
        "RequestEntityTooLargeException": {413},
        "SignatureDoesNotMatch": {403},
        "Throttling": {400},
        "ValidationError": {400},
    },
    "rest-json": {"InternalFailure": {500}, "RequestEntityTooLargeException": {413}, "UnknownOperationException": {404}},
}

# What AWS is known to answer although the model does not have it: the portal's refusal (aws-cli issue 6316).
UNMODELLED = {("sso", "ForbiddenException"): 403}

deviations = []
succeeded = {}  # (service, operation) → parameters of its last success
answers = collections.Counter()


def deviate(where, what):
    deviations.append(f"{where}: {what}")


# Shapes


@functools.cache
def category(letter):
    """The characters of a Unicode category, as a part of a regular expression's class."""
    ranges, start = [], None
    for point in range(sys.maxunicode + 2):
        inside = point <= sys.maxunicode and unicodedata.category(chr(point))[0] == letter
        if inside and start is None:
            start = point
        elif not inside and start is not None:
            ranges.append(f"\\U{start:08x}-\\U{point - 1:08x}")
            start = None
    return "".join(ranges)


@functools.cache
def compiled(pattern):
    return re.compile(re.sub(r"\\p\{([A-Z])\}", lambda m: category(m.group(1)), pattern))


def bounded(shape, size, where):
    if "min" in shape.metadata and size < shape.metadata["min"]:
        deviate(where, f"{size} is less than {shape.name}'s {shape.metadata['min']}")
    if "max" in shape.metadata and size > shape.metadata["max"]:
        deviate(where, f"{size} is more than {shape.name}'s {shape.metadata['max']}")


def check_string(shape, value, where):
    if not isinstance(value, str):
        return deviate(where, f"{value!r} is no string")
    if getattr(shape, "enum", None) and value not in shape.enum:
        deviate(where, f"{value!r} is none of {shape.enum}")
    bounded(shape, len(value), where)
    pattern = shape.metadata.get("pattern")
    if pattern and not compiled(pattern).fullmatch(value):
        deviate(where, f"{value!r} does not match {shape.name}'s {pattern}")


def check_number(shape, value, where):
    if isinstance(value, bool) or not isinstance(value, int):
        return deviate(where, f"{value!r} is no integer")
    bounded(shape, value, where)


def check_timestamp(shape, value, where):
    form = shape.serialization.get("timestampFormat", "unixTimestamp")
    if form != "unixTimestamp" or isinstance(value, bool) or not isinstance(value, (int, float)):
        deviate(where, f"{value!r} is no timestamp of the form {form}")


def check_structure(shape, value, where):
    if shape.is_document_type:
        return
    if not isinstance(value, dict):
        return deviate(where, f"{value!r} is no structure")
    names = {m.serialization.get("name", name): (name, m) for name, m in shape.members.items()}
    for wire, inner in value.items():
        if wire not in names:
            deviate(where, f"the member {wire} is not in {shape.name}")
        elif inner is None:
            deviate(where, f"the member {wire} is null")
        else:
            walk(names[wire][1], inner, f"{where}.{wire}")
    for name in shape.required_members:
        if shape.members[name].serialization.get("name", name) not in value:
            deviate(where, f"the required member {name} is missing")
    if shape.is_tagged_union and len(value) != 1:
        deviate(where, f"a union with {len(value)} members")


def check_list(shape, value, where):
    if not isinstance(value, list):
        return deviate(where, f"{value!r} is no list")
    bounded(shape, len(value), where)
    for i, inner in enumerate(value):
        walk(shape.member, inner, f"{where}[{i}]")


def check_boolean(shape, value, where):
    if not isinstance(value, bool):
        deviate(where, f"{value!r} is no boolean")


CHECKS = {
    "string": check_string, "integer": check_number, "long": check_number, "timestamp": check_timestamp, "structure": check_structure,
    "list": check_list, "boolean": check_boolean,
}


def walk(shape, value, where):
    check = CHECKS.get(shape.type_name)
    if check is None:
        return deviate(where, f"the judge does not know the type {shape.type_name}")
    check(shape, value, where)


# Answers


def judge(operation, status, headers, body):
    """Walks one raw answer; returns its error code, or None."""
    service = operation.service_model
    protocol = service.metadata["protocol"]
    where = f"{service.service_name} {operation.name} {status}"
    answers[status // 100] += 1
    headers = {k.lower(): v for k, v in headers.items()}
    if not re.fullmatch(UUID, headers.get("x-amzn-requestid", "")):
        deviate(where, f"x-amzn-RequestId is {headers.get('x-amzn-requestid')!r}")
    try:
        email.utils.parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        deviate(where, f"Date is {headers.get('date')!r}")
    wanted = {"json": "application/x-amz-json-1.1", "rest-json": "application/json", "query": "text/xml"}[protocol]
    if headers.get("content-type") != wanted:
        deviate(where, f"Content-Type is {headers.get('content-type')!r}, not {wanted!r}")
    if protocol == "query":
        return judge_query(operation, status, body, where)
    if status < 300:
        if status != operation.http.get("responseCode", 200):
            deviate(where, "another HTTP status than the model's")
        if operation.output_shape:
            check_structure(operation.output_shape, parse(body, where), where)
        elif body not in (b"", b"{}"):
            deviate(where, f"an operation without output answers {body!r}")
        return None
    return judge_error(operation, protocol, status, headers, parse(body, where), where)


def parse(body, where):
    try:
        return json.loads(body)
    except ValueError:
        deviate(where, f"the body is no JSON: {body[:200]!r}")
        return {}


def judge_error(operation, protocol, status, headers, value, where):
    service = operation.service_model.service_name
    named = [headers.get("x-amzn-errortype"), value.get("__type")]
    codes = {n.split("#")[-1].split(":")[0] for n in named if n}
    if len(codes) != 1 or protocol == "rest-json" and not named[0] or protocol == "json" and not named[1]:
        deviate(where, f"the error's code is {named}")
        return None
    code = codes.pop()
    where = f"{where} {code}"
    modelled = {s.metadata.get("error", {}).get("code", s.name): s for s in operation.error_shapes}
    members = {k: v for k, v in value.items() if k != "__type"}
    if code in modelled:
        shape = modelled[code]
        check_structure(shape, members, where)
        fault = operation.service_model._service_description["shapes"][shape.name].get("fault")  # which no public attribute tells
        fallback = 500 if fault else 400
        if status != shape.metadata.get("error", {}).get("httpStatusCode", fallback):
            deviate(where, "another HTTP status than the model's")
    elif (service, code) in UNMODELLED or code in COMMON[protocol]:
        allowed = {UNMODELLED[service, code]} if (service, code) in UNMODELLED else COMMON[protocol][code]
        if status not in allowed:
            deviate(where, f"the HTTP status is none of {allowed}")
        if set(members) not in ({"message"}, {"Message"}) or not all(isinstance(v, str) for v in members.values()):
            deviate(where, f"a common error with the members {members}")
    else:
        deviate(where, "neither the operation's model nor AWS's common errors have this error")
    return code


def query_value(shape, element, space, where):
    """Reads an element of the query protocol as what JSON would have: structures, integers, and times as seconds."""
    if shape.type_name == "structure":
        names = [c.tag.removeprefix(space) for c in element]
        if len(set(names)) != len(names):
            deviate(where, f"a member is there twice: {names}")
        known = {n: c for n, c in zip(names, element)}
        return {n: query_value(shape.members[n], c, space, f"{where}.{n}") if n in shape.members else c.text for n, c in known.items()}
    if shape.type_name == "integer":
        return int(element.text) if re.fullmatch(r"-?\d+", element.text or "") else element.text
    if shape.type_name == "timestamp":
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", element.text or ""):
            deviate(where, f"{element.text!r} is no timestamp of the form iso8601")
        return 0
    return element.text or ""


def judge_query(operation, status, body, where):
    service = operation.service_model
    try:
        root = xml.fromstring(body)
    except xml.ParseError as e:
        return deviate(where, f"the body is no XML: {e}")
    space = "{" + service.metadata["xmlNamespace"] + "}"
    texts = {child.tag.removeprefix(space): child for child in root}
    if status >= 300:
        error = {c.tag.removeprefix(space): c.text for c in texts.get("Error", ())}
        code = error.get("Code")
        if root.tag != space + "ErrorResponse" or set(texts) != {"Error", "RequestId"} or set(error) != {"Type", "Code", "Message"}:
            deviate(where, f"the error is {body!r}")
        if error.get("Type") != ("Receiver" if status >= 500 else "Sender"):
            deviate(where, f"the error's type is {error.get('Type')!r}")
        modelled = {s.metadata["error"]["code"]: s.metadata["error"]["httpStatusCode"] for s in operation.error_shapes}
        if status not in COMMON["query"].get(code, ()) and modelled.get(code) != status:
            deviate(where, f"the code {code} with this HTTP status is neither in the operation's model nor among AWS's common errors")
        return code
    wrapper = operation.output_shape.serialization.get("resultWrapper", operation.name + "Result")
    if root.tag != f"{space}{operation.name}Response" or set(texts) != {wrapper, "ResponseMetadata"}:
        deviate(where, f"the answer is {body!r}")
        return None
    check_structure(operation.output_shape, query_value(operation.output_shape, texts[wrapper], space, where), where)
    if [c.tag for c in texts["ResponseMetadata"]] != [space + "RequestId"]:
        deviate(where, "ResponseMetadata has no RequestId")
    return None


# Calls


def control(method, name, **body):
    request = urllib.request.Request(f"{URL}/_sandbox/{name}", method=method, headers={"Authorization": "Bearer " + CONTROL})
    if body:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


SESSION = botocore.session.Session()


class Caller:
    """Calls operations with one set of credentials, and has every raw answer judged."""

    def __init__(self, key=KEY, region=REGION, change=None):
        self.key, self.region, self.change = key, region, change
        self.body = None  # what is sent, and signed, instead of the parameters
        self.clients = {}

    def client(self, service):
        if service not in self.clients:
            made = SESSION.create_client(
                service, region_name=self.region, endpoint_url=URL, aws_access_key_id=self.key[0], aws_secret_access_key=self.key[1],
                aws_session_token=self.key[2], config=botocore.config.Config(parameter_validation=False, retries={"max_attempts": 0}),
            )
            made.meta.events.register("before-parse", self.on_answer)
            made.meta.events.register("before-call", self.on_request)
            if self.change:
                made.meta.events.register("before-send", self.change)
            self.listen(made._endpoint.http_session)
            self.clients[service] = made
        return self.clients[service]

    def listen(self, http_session):
        """Keeps each raw answer: what botocore hands to its parser it has already touched."""
        send = http_session.send

        def kept(request):
            self.raw = send(request)
            return self.raw

        http_session.send = kept

    def on_request(self, params, **_):
        if self.body is not None:
            params["body"] = self.body

    def on_answer(self, operation_model, **_):
        judge(operation_model, self.raw.status_code, self.raw.headers, self.raw.content)

    def call(self, service, name, **params):
        client = self.client(service)
        try:
            parsed = client._make_api_call(name, params)  # by the model's name of the operation
        except botocore.exceptions.ClientError as e:
            return None, e.response["Error"]["Code"]
        return parsed, None

    def ok(self, service, name, **params):
        parsed, code = self.call(service, name, **params)
        if code is not None:
            deviate(f"{service} {name}", f"refused with {code}")
            return collections.defaultdict(dict)
        first = (service, name) not in succeeded
        succeeded[service, name] = params
        operation = self.client(service).meta.service_model.operation_model(name)
        if first and operation.input_shape and "NextToken" in operation.input_shape.members:
            self.fails("InvalidInputException" if service == "organizations" else "ValidationException", service, name, **dict(params, NextToken="AAAA"))
        return parsed

    def fails(self, wanted, service, name, **params):
        _, code = self.call(service, name, **params)
        if code != wanted:
            deviate(f"{service} {name}", f"answered {code}, not {wanted}, to {str(self.body or params)[:300]}")

    def fails_with(self, wanted, service, name, body, **params):
        """Like fails, but sends a body that botocore would not make."""
        self.body = body
        self.fails(wanted, service, name, **params)
        self.body = None


aws = Caller()


def admin_calls(state, ids):
    instance = state["instance"]
    each = functools.partial(aws.ok, "sso-admin")
    each("ListInstances")
    each("DescribeInstance", InstanceArn=instance)
    aws.fails("AccessDeniedException", "sso-admin", "DescribeInstance", InstanceArn=instance[:-4] + "0000")
    made = each(
        "CreatePermissionSet", InstanceArn=instance, Name="Judged", Description="made by the judge", SessionDuration="PT1H30M",
        RelayState="https://example.com/", Tags=[{"Key": "who", "Value": "judge"}],
    )["PermissionSet"]["PermissionSetArn"]
    aws.fails("ConflictException", "sso-admin", "CreatePermissionSet", InstanceArn=instance, Name="Judged")
    aws.fails("ValidationException", "sso-admin", "CreatePermissionSet", InstanceArn=instance, Name="Other", SessionDuration="PT13H")
    one = dict(InstanceArn=instance, PermissionSetArn=made)
    gone = dict(one, PermissionSetArn=made[:-4] + "0000")
    each("DescribePermissionSet", **one)
    each("UpdatePermissionSet", **one, Description="changed", SessionDuration="PT2H")
    each("GetInlinePolicyForPermissionSet", **one)
    each("PutInlinePolicyToPermissionSet", **one, InlinePolicy='{"Version":"2012-10-17","Statement":[]}')
    each("GetInlinePolicyForPermissionSet", **one)
    aws.fails("ValidationException", "sso-admin", "PutInlinePolicyToPermissionSet", **one, InlinePolicy="{")
    policy_calls(each, one)
    each("ListTagsForResource", InstanceArn=instance, ResourceArn=made)
    for name in (
        "DescribePermissionSet", "UpdatePermissionSet", "DeletePermissionSet", "GetInlinePolicyForPermissionSet", "ListManagedPoliciesInPermissionSet",
        "ListAccountsForProvisionedPermissionSet", "ListCustomerManagedPolicyReferencesInPermissionSet", "GetPermissionsBoundaryForPermissionSet",
        "DeletePermissionsBoundaryFromPermissionSet", "DeleteInlinePolicyFromPermissionSet",
    ):
        aws.fails("ResourceNotFoundException", "sso-admin", name, **gone)
    each("ListPermissionSets", InstanceArn=instance, MaxResults=2)
    each("ListAccountAssignments", InstanceArn=instance, AccountId=ids["account"], PermissionSetArn=made)  # empty, as are the next two
    each("ListAccountsForProvisionedPermissionSet", **one)
    each("ListTagsForResource", ResourceArn=instance)
    aws.fails("ResourceNotFoundException", "sso-admin", "ListPermissionSets", InstanceArn=instance[:-4] + "0000")
    assignment_calls(each, instance, made, ids)


def assignment_calls(each, instance, made, ids):
    target = dict(InstanceArn=instance, TargetId=ids["account"], TargetType="AWS_ACCOUNT", PermissionSetArn=made)
    user = dict(target, PrincipalType="USER", PrincipalId=ids["person"])
    group = dict(target, PrincipalType="GROUP", PrincipalId=ids["group"])
    created = each("CreateAccountAssignment", **user)["AccountAssignmentCreationStatus"]["RequestId"]
    aws.fails("ConflictException", "sso-admin", "CreateAccountAssignment", **user)
    aws.fails("ResourceNotFoundException", "sso-admin", "CreateAccountAssignment", **dict(user, TargetId="999999999999"))
    nobody = each("CreateAccountAssignment", **dict(user, PrincipalId="00000000-0000-4000-8000-000000000000"))
    each("CreateAccountAssignment", **group)
    each("ListAccountAssignmentCreationStatus", InstanceArn=instance, Filter={"Status": "IN_PROGRESS"})
    control("POST", "clock", advance="10s")
    for request in (created, nobody["AccountAssignmentCreationStatus"]["RequestId"]):
        each("DescribeAccountAssignmentCreationStatus", InstanceArn=instance, AccountAssignmentCreationRequestId=request)
        aws.fails("ResourceNotFoundException", "sso-admin", "DescribeAccountAssignmentDeletionStatus", InstanceArn=instance, AccountAssignmentDeletionRequestId=request)
    each("ListAccountAssignmentCreationStatus", InstanceArn=instance, MaxResults=2)
    each("ListAccountAssignments", InstanceArn=instance, AccountId=ids["account"], PermissionSetArn=made, MaxResults=1)
    each("ListAccountAssignmentsForPrincipal", InstanceArn=instance, PrincipalId=ids["person"], PrincipalType="USER", Filter={"AccountId": ids["account"]})
    each("ListAccountsForProvisionedPermissionSet", InstanceArn=instance, PermissionSetArn=made, ProvisioningStatus="LATEST_PERMISSION_SET_PROVISIONED")
    each("ListPermissionSetsProvisionedToAccount", InstanceArn=instance, AccountId=ids["account"])
    aws.fails("ConflictException", "sso-admin", "DeletePermissionSet", InstanceArn=instance, PermissionSetArn=made)
    deleted = each("DeleteAccountAssignment", **user)["AccountAssignmentDeletionStatus"]["RequestId"]
    each("DeleteAccountAssignment", **group)
    control("POST", "clock", advance="10s")
    each("DescribeAccountAssignmentDeletionStatus", InstanceArn=instance, AccountAssignmentDeletionRequestId=deleted)
    each("ListAccountAssignmentDeletionStatus", InstanceArn=instance)
    each("DeletePermissionSet", InstanceArn=instance, PermissionSetArn=made)


def store_calls(state, ids):
    each = functools.partial(aws.ok, "identitystore", IdentityStoreId=state["identityStore"])
    no = functools.partial(aws.fails, service="identitystore", IdentityStoreId=state["identityStore"])
    nobody = "00000000-0000-4000-8000-000000000000"
    each("ListUsers")
    each("ListUsers", Filters=[{"AttributePath": "UserName", "AttributeValue": "none"}])
    for user in state["people"]:
        each("DescribeUser", UserId=user["id"])
    each("ListUsers", MaxResults=1)
    each("ListUsers", Filters=[{"AttributePath": "UserName", "AttributeValue": ids["user"]}])
    no("ValidationException", name="ListUsers", Filters=[{"AttributePath": "Title", "AttributeValue": "x"}])
    each("DescribeUser", UserId=ids["person"])
    each("GetUserId", AlternateIdentifier={"UniqueAttribute": {"AttributePath": "userName", "AttributeValue": ids["user"]}})
    no("ResourceNotFoundException", name="GetUserId", AlternateIdentifier={"ExternalId": {"Issuer": "i", "Id": "x"}})
    no("ValidationException", name="GetUserId", AlternateIdentifier={})
    made = each(
        "CreateUser", UserName="judge", DisplayName="The Judge", Name={"GivenName": "The", "FamilyName": "Judge"},
        Emails=[{"Value": "judge@example.com", "Type": "work", "Primary": True}],
    )["UserId"]
    no("ConflictException", name="CreateUser", UserName="judge", DisplayName="x", Name={"GivenName": "x", "FamilyName": "x"})
    no("ValidationException", name="CreateUser", UserName="x")
    each("DescribeUser", UserId=made)
    each("ListGroups", MaxResults=1)
    group = each("CreateGroup", DisplayName="judges", Description="who judge")["GroupId"]
    no("ConflictException", name="CreateGroup", DisplayName="judges")
    each("ListGroupMemberships", GroupId=group)  # nobody yet
    each("ListGroups", Filters=[{"AttributePath": "DisplayName", "AttributeValue": "none"}])
    each("DescribeGroup", GroupId=group)
    each("GetGroupId", AlternateIdentifier={"UniqueAttribute": {"AttributePath": "displayName", "AttributeValue": "judges"}})
    no("ResourceNotFoundException", name="GetGroupId", AlternateIdentifier={"UniqueAttribute": {"AttributePath": "displayName", "AttributeValue": "none"}})
    member = each("CreateGroupMembership", GroupId=group, MemberId={"UserId": made})["MembershipId"]
    no("ConflictException", name="CreateGroupMembership", GroupId=group, MemberId={"UserId": made})
    each("ListGroupMemberships", GroupId=group)
    each("ListGroupMembershipsForMember", MemberId={"UserId": made})
    if each("GetGroupMembershipId", GroupId=group, MemberId={"UserId": made})["MembershipId"] != member:
        deviate("identitystore GetGroupMembershipId", "another membership")
    no("ResourceNotFoundException", name="GetGroupMembershipId", GroupId=group, MemberId={"UserId": ids["person"]})
    each("IsMemberInGroups", MemberId={"UserId": made}, GroupIds=[group, ids["group"]])
    for name, params in {
        "DescribeUser": {"UserId": nobody}, "DeleteUser": {"UserId": nobody}, "DescribeGroup": {"GroupId": nobody}, "DeleteGroup": {"GroupId": nobody},
        "ListGroupMemberships": {"GroupId": nobody}, "ListGroupMembershipsForMember": {"MemberId": {"UserId": nobody}},
        "IsMemberInGroups": {"MemberId": {"UserId": nobody}, "GroupIds": [group]}, "DeleteGroupMembership": {"MembershipId": nobody},
        "CreateGroupMembership": {"MemberId": {"UserId": nobody}, "GroupId": group}, "GetGroupMembershipId": {"MemberId": {"UserId": made}, "GroupId": nobody},
    }.items():
        no("ResourceNotFoundException", name=name, **params)
    aws.fails("ResourceNotFoundException", "identitystore", "ListUsers", IdentityStoreId="d-0000000000")
    each("DeleteGroupMembership", MembershipId=member)
    each("DeleteGroup", GroupId=group)
    each("DeleteUser", UserId=made)


def organization_calls(ids):
    each = functools.partial(aws.ok, "organizations")
    no = functools.partial(aws.fails, service="organizations")
    each("DescribeOrganization")
    root = each("ListRoots")["Roots"][0]["Id"]
    each("ListAccounts", MaxResults=2)
    each("DescribeAccount", AccountId=ids["account"])
    no("AccountNotFoundException", name="DescribeAccount", AccountId="999999999999")
    above = each("ListParents", ChildId=ids["account"])["Parents"][0]["Id"]
    no("ChildNotFoundException", name="ListParents", ChildId="999999999999")
    each("ListAccountsForParent", ParentId=above)
    each("ListOrganizationalUnitsForParent", ParentId=root, MaxResults=1)
    each("DescribeOrganizationalUnit", OrganizationalUnitId=above)
    for kind in ("ACCOUNT", "ORGANIZATIONAL_UNIT"):
        each("ListChildren", ParentId=root, ChildType=kind)
    nowhere = above[:-8] + "00000000"
    for name in ("ListAccountsForParent", "ListOrganizationalUnitsForParent"):
        no("ParentNotFoundException", name=name, ParentId=nowhere)
    no("ParentNotFoundException", name="ListChildren", ParentId=nowhere, ChildType="ACCOUNT")
    no("OrganizationalUnitNotFoundException", name="DescribeOrganizationalUnit", OrganizationalUnitId=nowhere)
    unit = each("CreateOrganizationalUnit", ParentId=root, Name="Judged", Tags=[{"Key": "a", "Value": "b"}])["OrganizationalUnit"]["Id"]
    no("DuplicateOrganizationalUnitException", name="CreateOrganizationalUnit", ParentId=root, Name="Judged")
    no("ParentNotFoundException", name="CreateOrganizationalUnit", ParentId=nowhere, Name="x")
    for name in ("ListAccountsForParent", "ListOrganizationalUnitsForParent", "ListTagsForResource"):  # all empty
        each(name, **{"ResourceId" if "Tags" in name else "ParentId": root if "Tags" in name else unit})
    for kind in ("ACCOUNT", "ORGANIZATIONAL_UNIT"):
        each("ListChildren", ParentId=unit, ChildType=kind)
    deep = unit
    for level in range(4):
        deep = each("CreateOrganizationalUnit", ParentId=deep, Name=f"level {level}")["OrganizationalUnit"]["Id"]
    no("ConstraintViolationException", name="CreateOrganizationalUnit", ParentId=deep, Name="too deep")
    scp_calls(each, no, root, unit)
    account_calls(each, no, ids, above, unit, nowhere)


def scp_calls(each, no, root, unit):
    content = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
    policy = dict(Content=content, Description="", Name="kills", Type="SERVICE_CONTROL_POLICY")
    made = each("CreatePolicy", **policy)["Policy"]["PolicySummary"]["Id"]
    no("DuplicatePolicyException", name="CreatePolicy", **policy)
    no("PolicyTypeNotAvailableForOrganizationException", name="CreatePolicy", **dict(policy, Type="TAG_POLICY", Name="x"))
    no("MalformedPolicyDocumentException", name="CreatePolicy", **dict(policy, Content="x", Name="x"))
    no("ConstraintViolationException", name="CreatePolicy", **dict(policy, Content=content + " " * 5120, Name="x"))
    each("DescribePolicy", PolicyId=made)
    each("UpdatePolicy", PolicyId=made, Content=content, Description="deny")
    no("MalformedPolicyDocumentException", name="UpdatePolicy", PolicyId=made, Content="[]")
    no("ConstraintViolationException", name="UpdatePolicy", PolicyId=made, Content=content + " " * 5120)
    other = each("CreatePolicy", **dict(policy, Name="other"))["Policy"]["PolicySummary"]["Id"]
    no("DuplicatePolicyException", name="UpdatePolicy", PolicyId=other, Name="kills")
    for target in (root, unit):
        each("AttachPolicy", PolicyId=made, TargetId=target)
        no("DuplicatePolicyAttachmentException", name="AttachPolicy", PolicyId=made, TargetId=target)
    each("ListTargetsForPolicy", PolicyId=made, MaxResults=1)
    each("DetachPolicy", PolicyId=made, TargetId=root)
    no("PolicyNotAttachedException", name="DetachPolicy", PolicyId=made, TargetId=root)
    for name in ("DescribePolicy", "UpdatePolicy", "ListTargetsForPolicy"):
        no("PolicyNotFoundException", name=name, PolicyId="p-00000000")
    for name in ("AttachPolicy", "DetachPolicy"):
        no("PolicyNotFoundException", name=name, PolicyId="p-00000000", TargetId=root)
        no("TargetNotFoundException", name=name, PolicyId=made, TargetId="999999999999")


def account_calls(each, no, ids, above, unit, nowhere):
    each("TagResource", ResourceId=ids["account"], Tags=[{"Key": "judged", "Value": ""}])
    each("ListTagsForResource", ResourceId=ids["account"])
    each("UntagResource", ResourceId=ids["account"], TagKeys=["judged"])
    no("TargetNotFoundException", name="ListTagsForResource", ResourceId="999999999999")
    no("InvalidInputException", name="TagResource", ResourceId=ids["account"], Tags=[{"Key": "aws:x", "Value": "x"}])
    no("InvalidInputException", name="TagResource", ResourceId=ids["account"], Tags=[{"Key": "x", "Value": "x"}, {"Key": "x", "Value": "y"}])
    no("ConstraintViolationException", name="TagResource", ResourceId=ids["account"], Tags=[{"Key": f"k{i}", "Value": "x"} for i in range(51)])
    move = dict(AccountId=ids["account"], SourceParentId=above, DestinationParentId=unit)
    no("SourceParentNotFoundException", name="MoveAccount", **dict(move, SourceParentId=unit))
    no("DestinationParentNotFoundException", name="MoveAccount", **dict(move, DestinationParentId=nowhere))
    no("DuplicateAccountException", name="MoveAccount", **dict(move, DestinationParentId=above))
    no("AccountNotFoundException", name="MoveAccount", **dict(move, AccountId="999999999999"))
    each("MoveAccount", **move)
    for _ in range(2):  # the second fails in the end, since the mail address is taken
        request = each("CreateAccount", Email="new@example.com", AccountName="new", Tags=[{"Key": "a", "Value": "b"}])["CreateAccountStatus"]["Id"]
        each("DescribeCreateAccountStatus", CreateAccountRequestId=request)
        control("POST", "clock", advance="1m")
        each("DescribeCreateAccountStatus", CreateAccountRequestId=request)
    no("CreateAccountStatusNotFoundException", name="DescribeCreateAccountStatus", CreateAccountRequestId="car-00000000")


def policy_calls(each, one):
    """Gives a permission set every kind of policy, and takes it away again."""
    no = functools.partial(aws.fails, service="sso-admin", **one)
    arn, ref = "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess", {"Name": "house-rules", "Path": "/ops/"}
    for add, lists, remove, what in [
        ("AttachManagedPolicyToPermissionSet", "ListManagedPoliciesInPermissionSet", "DetachManagedPolicyFromPermissionSet", {"ManagedPolicyArn": arn}),
        (
            "AttachCustomerManagedPolicyReferenceToPermissionSet", "ListCustomerManagedPolicyReferencesInPermissionSet",
            "DetachCustomerManagedPolicyReferenceFromPermissionSet", {"CustomerManagedPolicyReference": ref},
        ),
    ]:
        each(lists, **one)
        each(add, **one, **what)
        no("ConflictException", name=add, **what)
        each(lists, **one, MaxResults=1)
        each(remove, **one, **what)
        no("ResourceNotFoundException", name=remove, **what)
    no("ResourceNotFoundException", name="GetPermissionsBoundaryForPermissionSet")
    no("ValidationException", name="PutPermissionsBoundaryToPermissionSet", PermissionsBoundary={})
    for boundary in ({"ManagedPolicyArn": arn}, {"CustomerManagedPolicyReference": ref}):
        each("PutPermissionsBoundaryToPermissionSet", **one, PermissionsBoundary=boundary)
        if each("GetPermissionsBoundaryForPermissionSet", **one)["PermissionsBoundary"] != boundary:
            deviate("sso-admin GetPermissionsBoundaryForPermissionSet", "another boundary")
    each("DeletePermissionsBoundaryFromPermissionSet", **one)
    no("ResourceNotFoundException", name="DeletePermissionsBoundaryFromPermissionSet")
    each("DeleteInlinePolicyFromPermissionSet", **one)


def role_sessions():
    """Assumes a role in every way, and the same role again from its own session."""
    role = "arn:aws:iam::100000000003:role/ops/Deployer"
    whole = dict(
        RoleArn=role, RoleSessionName="judge.g-1", SourceIdentity="judge.g-1", DurationSeconds=900, Tags=[{"Key": "sparekey:grant", "Value": "g-1"}],
        TransitiveTagKeys=["sparekey:grant"], Policy='{"Version": "2012-10-17", "Statement": []}',
    )
    each, no = functools.partial(aws.ok, "sts", "AssumeRole"), functools.partial(aws.fails, service="sts", name="AssumeRole")
    each(RoleArn=role, RoleSessionName="judge")
    made = each(**whole)["Credentials"]
    for wanted, params in [
        ("AccessDenied", dict(RoleArn=role + "s")), ("AccessDenied", dict(RoleArn="arn:aws:iam::100000000004:role/Closed")), ("ValidationError", dict(RoleSessionName="a b")),
        ("ValidationError", dict(DurationSeconds=899)), ("ValidationError", dict(DurationSeconds=7201)), ("ValidationError", dict(DurationSeconds=43201)),
        ("ValidationError", dict(SourceIdentity="x" * 65)), ("ValidationError", dict(TransitiveTagKeys=["other"])), ("MalformedPolicyDocument", dict(Policy="{")),
        ("ValidationError", dict(Tags=[{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}])), ("PackedPolicyTooLarge", dict(Policy=" " * 2049)),
        ("ValidationError", dict(RoleArn=None)),
    ]:
        no(wanted, **dict(whole, **params) if params.get("RoleArn", role) else {"RoleSessionName": "judge"})
    session = Caller((made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"]))
    if session.ok("sts", "GetCallerIdentity")["Arn"] != "arn:aws:sts::100000000003:assumed-role/Deployer/judge.g-1":
        deviate("sts AssumeRole", "somebody else")
    session.ok("sts", "AssumeRole", RoleArn=role, RoleSessionName="again", DurationSeconds=3600)
    session.fails("ValidationError", "sts", "AssumeRole", RoleArn=role, RoleSessionName="again", DurationSeconds=3601)
    session.fails("AccessDenied", "sts", "AssumeRole", RoleArn=role, RoleSessionName="again", SourceIdentity="other")
    session.fails("ValidationError", "sts", "AssumeRole", RoleArn=role, RoleSessionName="again", Tags=whole["Tags"])
    session.fails("AccessDeniedException", "sso-admin", "ListInstances")
    succeeded["sts", "AssumeRole"] = whole  # as the management account calls it


def portal_calls(state, ids):
    """Signs in by a device, and returns the credentials of a role."""
    client = aws.ok("sso-oidc", "RegisterClient", clientName="judge", clientType="public", scopes=["sso:account:access"])
    known = {k: client[k] for k in ("clientId", "clientSecret")}
    no = functools.partial(aws.fails, service="sso-oidc")
    for wanted, params in {
        "InvalidClientMetadataException": dict(clientType="secret"), "InvalidScopeException": dict(scopes=["ALL"]),
        "UnsupportedGrantTypeException": dict(grantTypes=["password"]), "InvalidRedirectUriException": dict(redirectUris=["https://example.com"]),
    }.items():
        no(wanted, name="RegisterClient", **dict(dict(clientName="judge", clientType="public"), **params))
    web = aws.ok("sso-oidc", "RegisterClient", clientName="judge", clientType="public", grantTypes=["authorization_code"])
    begin = dict(known, startUrl=state["startUrl"])
    no("UnauthorizedClientException", name="StartDeviceAuthorization", **dict(begin, clientId=web["clientId"], clientSecret=web["clientSecret"]))
    no("InvalidClientException", name="StartDeviceAuthorization", **dict(begin, clientSecret="x"))
    no("InvalidRequestException", name="StartDeviceAuthorization", **dict(begin, startUrl="https://example.com"))
    grant = dict(known, grantType="urn:ietf:params:oauth:grant-type:device_code")
    device = lambda: aws.ok("sso-oidc", "StartDeviceAuthorization", **begin)
    first, late, denied = device(), device(), device()
    ask = dict(grant, deviceCode=first["deviceCode"])
    no("AuthorizationPendingException", name="CreateToken", **ask)
    no("SlowDownException", name="CreateToken", **ask)
    no("InvalidClientException", name="CreateToken", **dict(ask, clientSecret="x"))
    no("InvalidRequestException", name="CreateToken", **grant)
    no("InvalidGrantException", name="CreateToken", **dict(grant, deviceCode="x"))
    no("InvalidGrantException", name="CreateToken", **known, grantType="refresh_token", refreshToken="x")
    no("UnsupportedGrantTypeException", name="CreateToken", **known, grantType="password")
    control("POST", "device", userCode=first["userCode"], person=ids["user"])
    control("POST", "device", userCode=denied["userCode"], deny=True)
    no("AccessDeniedException", name="CreateToken", **dict(grant, deviceCode=denied["deviceCode"]))
    token = aws.ok("sso-oidc", "CreateToken", **ask)
    no("InvalidGrantException", name="CreateToken", **ask)
    token = aws.ok("sso-oidc", "CreateToken", **known, grantType="refresh_token", refreshToken=token["refreshToken"])
    control("POST", "clock", advance="11m")
    no("ExpiredTokenException", name="CreateToken", **dict(grant, deviceCode=late["deviceCode"]))
    return role_calls(token["accessToken"], ids)


def role_calls(token, ids):
    bearer = dict(accessToken=token)
    control("POST", "assignments", add=[{"account": ids["account"], "permissionSet": ids["set"], "principal": ids["user"]}])
    aws.ok("sso", "ListAccounts", **bearer, maxResults=1)
    aws.ok("sso", "ListAccountRoles", **bearer, accountId=ids["account"])
    aws.ok("sso", "ListAccountRoles", **bearer, accountId="999999999999")
    role = dict(bearer, accountId=ids["account"], roleName=ids["set"])
    made = aws.ok("sso", "GetRoleCredentials", **role)["roleCredentials"]
    aws.fails("ForbiddenException", "sso", "GetRoleCredentials", **dict(role, roleName="None"))
    aws.fails("InvalidRequestException", "sso", "ListAccounts", **bearer, maxResults=101)
    aws.fails("InvalidRequestException", "sso", "ListAccounts", **bearer, nextToken="AAAA")
    for name in ("ListAccounts", "Logout"):
        aws.fails("UnauthorizedException", "sso", name, accessToken="x")
    aws.fails("UnauthorizedException", "sso", "GetRoleCredentials", **dict(role, accessToken="x"))
    aws.fails("UnauthorizedException", "sso", "ListAccountRoles", accessToken="x", accountId=ids["account"])
    return (made["accessKeyId"], made["secretAccessKey"], made["sessionToken"]), token


# Wrong ways that every operation has


def mutations(operation, params):
    """Yields parameters that break the operation's model, each with the error that a JSON service answers."""
    shape = operation.input_shape
    if shape is None or operation.service_model.metadata["protocol"] != "json":
        return
    validation = "InvalidInputException" if operation.service_model.service_name == "organizations" else "ValidationException"
    for name in shape.required_members:
        yield validation, {k: v for k, v in params.items() if k != name}
    for name, member in shape.members.items():
        if member.type_name == "string":
            yield "SerializationException", dict(params, **{name: 7})
            if "max" in member.metadata:
                yield validation, dict(params, **{name: "a" * (member.metadata["max"] + 1)})
            if getattr(member, "enum", None):
                yield validation, dict(params, **{name: "NONE"})
        elif member.type_name == "integer":
            yield validation, dict(params, **{name: 0})
            yield validation, dict(params, **{name: 101})
            yield "SerializationException", dict(params, **{name: "many"})
        elif member.type_name == "list":
            yield "SerializationException", dict(params, **{name: {"not": "a list"}})


# Members that the sandbox does not keep: whatever they hold is ignored.
IGNORED = {
    "Extensions", "NickName", "ProfileUrl", "Addresses", "PhoneNumbers", "UserType", "Title", "PreferredLanguage", "Locale", "Timezone", "Photos", "Website",
    "Birthdate", "Roles",
}


def break_models():
    for (service, name), params in list(succeeded.items()):
        operation = aws.client(service).meta.service_model.operation_model(name)
        for wanted, broken in mutations(operation, params):
            changed = {k for k in set(broken) | set(params) if broken.get(k) != params.get(k)}
            if not changed & IGNORED:
                aws.fails_with(wanted, service, name, json.dumps(broken).encode(), **params)
    for (service, name), params in succeeded.items():
        protocol = aws.client(service).meta.service_model.metadata["protocol"]
        if protocol == "json":
            for body in (b"{", b"[]", b"{} {}", b"\xff"):
                aws.fails_with("SerializationException", service, name, body, **params)
        if service == "sso-oidc":
            for body in (b"{", b"[]", json.dumps({k: 7 for k in params}).encode()):
                aws.fails_with("InvalidRequestException", service, name, body, **params)
        if service != "sso":
            aws.fails_with("RequestEntityTooLargeException", service, name, b" " * ((1 << 20) + 1), **params)


FAULTS = {
    "sso-admin": {"throttle": "ThrottlingException", "denied": "AccessDeniedException", "conflict": "ConflictException", "server-error": "InternalServerException"},
    "identitystore": {"throttle": "ThrottlingException", "denied": "AccessDeniedException", "conflict": "ConflictException", "server-error": "InternalServerException"},
    "organizations": {
        "throttle": "TooManyRequestsException", "denied": "AccessDeniedException", "conflict": "ConcurrentModificationException", "server-error": "ServiceException",
    },
    "sts": {"throttle": "Throttling", "denied": "AccessDenied", "server-error": "InternalFailure"},
    "sso-oidc": {"throttle": "SlowDownException", "denied": "AccessDeniedException", "server-error": "InternalServerException"},
    "sso": {"throttle": "TooManyRequestsException", "denied": "ForbiddenException", "server-error": "InternalFailure"},
}


def script_faults():
    """Asks every operation once more under every fault that its model has an error for."""
    for (service, name), params in list(succeeded.items()):
        operation = aws.client(service).meta.service_model.operation_model(name)
        modelled = {s.name for s in operation.error_shapes}
        for kind, wanted in FAULTS[service].items():
            always = service == "sts" or (service, wanted) in UNMODELLED or wanted in COMMON[operation.service_model.metadata["protocol"]]
            if wanted in modelled or always:
                control("POST", "faults", faults=[{"service": service, "operation": name, "kind": kind, "times": 1}])
                aws.fails(wanted, service, name, **params)
                control("DELETE", "faults")


SIGNED = {
    "sso-admin": ("ListInstances", {}), "identitystore": ("ListUsers", {"IdentityStoreId": "d-0000000000"}), "organizations": ("ListRoots", {}),
    "sts": ("GetCallerIdentity", {}),
}

SIGNATURES = {
    "json": {
        "missing": "MissingAuthenticationTokenException", "incomplete": "IncompleteSignatureException", "unknown": "UnrecognizedClientException",
        "wrong": "InvalidSignatureException", "expired": "ExpiredTokenException", "denied": "AccessDeniedException",
    },
    "query": {
        "missing": "MissingAuthenticationToken", "incomplete": "IncompleteSignature", "unknown": "InvalidClientTokenId", "wrong": "SignatureDoesNotMatch",
        "expired": "ExpiredToken",
    },
}


def header(name, value):
    def change(request, **_):
        del request.headers[name]
        if value is not None:
            request.headers[name] = value

    return change


def break_signatures(role):
    """Signs wrongly, in every way, for every service that takes signatures."""

    def user(account):
        key = control("POST", "keys", account=account, user="judge")
        return Caller((key["accessKeyId"], key["secretAccessKey"], None))

    for service, (name, params) in SIGNED.items():
        model = aws.client(service).meta.service_model
        codes = SIGNATURES[model.metadata["protocol"]]
        for kind, caller in [
            ("wrong", Caller((KEY[0], "x" * 40, None))), ("unknown", Caller(("AKIAAAAAAAAAAAAAAAAA", "x" * 40, None))), ("unknown", Caller((*KEY[:2], "token"))),
            ("unknown", Caller((*role["key"][:2], None))), ("wrong", Caller(change=header("X-Amz-Date", "20200101T000000Z"))),
            ("missing", Caller(change=header("Authorization", None))), ("incomplete", Caller(change=header("Authorization", "AWS4-HMAC-SHA256 Credential=x"))),
            ("incomplete", Caller(change=header("Authorization", "Basic eA=="))), ("incomplete", Caller(change=header("X-Amz-Date", None))),
            ("wrong", Caller(region="nowhere")),
        ]:
            caller.fails(codes[kind], service, name, **params)
        if service == "sts":
            continue
        unknown = Caller(change=header("X-Amz-Target", model.metadata["targetPrefix"] + ".None"))
        unknown.fails("UnknownOperationException", service, name, **params)
        Caller(role["key"]).fails(codes["denied"], service, name, **params)
        if service != "identitystore":  # which member accounts may read
            user(role["account"]).fails(codes["denied"], service, name, **params)
        refused = "AWSOrganizationsNotInUseException" if service == "organizations" else codes["denied"]
        user("999999999999").fails(refused, service, name, **params)
    Caller(role["key"]).ok("sts", "GetCallerIdentity")
    control("POST", "clock", advance="13h")
    for service, (name, params) in SIGNED.items():
        codes = SIGNATURES[aws.client(service).meta.service_model.metadata["protocol"]]
        Caller(role["key"]).fails(codes["expired"], service, name, **params)


def main():
    state = control("GET", "state")
    person = next(p for p in state["people"] if p["status"] == "enabled")
    accounts = aws.ok("organizations", "ListAccounts")["Accounts"]
    nested = [a["Id"] for a in accounts if "/ou-" in a["Paths"][0]]
    groups = aws.ok("identitystore", "ListGroups", IdentityStoreId=state["identityStore"])["Groups"]
    sets = aws.ok("sso-admin", "ListPermissionSets", InstanceArn=state["instance"])["PermissionSets"]
    described = aws.ok("sso-admin", "DescribePermissionSet", InstanceArn=state["instance"], PermissionSetArn=sets[0])["PermissionSet"]
    ids = {"person": person["id"], "user": person["user"], "account": nested[-1], "group": groups[0]["GroupId"], "set": described["Name"]}

    aws.ok("sts", "GetCallerIdentity")
    role_sessions()
    admin_calls(state, ids)
    store_calls(state, ids)
    organization_calls(ids)
    key, token = portal_calls(state, ids)
    break_models()
    script_faults()
    aws.ok("sso", "Logout", accessToken=token)
    break_signatures({"key": key, "account": ids["account"]})

    offered = {(o["service"], o["operation"]) for o in control("GET", "operations")}
    for missing in sorted(offered - set(succeeded)):
        deviate(" ".join(missing), "was never called successfully")
    for line in dict.fromkeys(deviations):
        print(line)
    print(
        f"{len(offered & set(succeeded))} of {len(offered)} operations called successfully; {answers[2]} answers and {answers[4] + answers[5]} errors judged; "
        f"{len(deviations)} deviations"
    )
    return 1 if deviations else 0


if __name__ == "__main__":
    sys.exit(main())
