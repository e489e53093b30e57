package aws

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	ssotypes "github.com/aws/aws-sdk-go-v2/service/ssoadmin/types"

	"sparekey/access"
	"sparekey/org"
)

var assignmentBehaviours = []behaviour{
	{"an assignment lives from absent to absent", lifeOfAnAssignment},
	{"a create is under way before it succeeds", createIsUnderWay},
	{"a create that AWS cannot carry out fails, and says why", createFails},
	{"creating what exists changes nothing, and one delete takes it away", createTwice},
	{"deleting what is not there ends, or is missing", deleteNothing},
	{"of several principals in one place only ours is reported", onlyOurs},
	{"an assignment is found on whatever page it stands", assignedOnEveryPage},
	{"an account or a set that is not there has no assignments", assignedNowhere},
	{"a create for an account or a set that is not there is refused as missing", createNowhere},
	{"an operation that AWS does not know is missing", unknownOperation},
	{"an operation of one kind is not known as one of the other", operationOfOtherKind},
}

// nobodyKnows is an id of the form that AWS uses and that it never gave to anything.
const nobodyKnows = "00000000-0000-4000-8000-000000000000"

// ended waits for an operation to end, while AWS's time passes.
func (b *backend) ended(ctx context.Context, id string, ask func(context.Context, string) (access.Seen, error)) (access.Seen, error) {
	for range 30 {
		s, err := ask(ctx, id)
		if err != nil || s.Outcome != "" {
			return s, err
		}
		if s.ID != id {
			return s, fmt.Errorf("asked for the operation %s, got %s", id, s.ID)
		}
		b.pass(time.Second)
	}
	return access.Seen{}, fmt.Errorf("the operation %s did not end", id)
}

// created creates an assignment and waits for the end.
func (b *backend) created(ctx context.Context, k access.Key) (access.Seen, error) {
	a := b.assignments()
	s, err := a.Create(ctx, k)
	if err == nil {
		s, err = b.ended(ctx, s.ID, a.Creation)
	}
	if err == nil && s.Outcome != access.Succeeded {
		err = fmt.Errorf("the create %s: %s", s.Outcome, s.Reason)
	}
	return s, err
}

// is checks what the adapter says of an assignment.
func (b *backend) is(ctx context.Context, k access.Key, want bool, when string) error {
	got, err := b.assignments().Assigned(ctx, k)
	if err == nil && got != want {
		err = fmt.Errorf("%s it is assigned: %t", when, got)
	}
	return err
}

func lifeOfAnAssignment(ctx context.Context, b *backend) error {
	a, k := b.assignments(), b.key("dana", "payments", "ReadOnly")
	if err := b.is(ctx, k, false, "before the create"); err != nil {
		return err
	}
	made, err := b.created(ctx, k)
	if err != nil {
		return err
	}
	if made.ID == "" || made.At.IsZero() || made.Reason != "" {
		return fmt.Errorf("a create that succeeded is %+v", made)
	}
	if err := b.is(ctx, k, true, "after the create"); err != nil {
		return err
	}
	s, err := a.Delete(ctx, k)
	if err != nil {
		return err
	}
	if s, err = b.ended(ctx, s.ID, a.Deletion); err != nil || s.Outcome != access.Succeeded {
		return but(err, "the delete became %s (%s)", s.Outcome, s.Reason)
	}
	return b.is(ctx, k, false, "after the delete")
}

func createIsUnderWay(ctx context.Context, b *backend) error {
	a, k := b.assignments(), b.key("dana", "payments", "ReadOnly")
	first, err := a.Create(ctx, k)
	if err != nil {
		return err
	}
	if first.Outcome != "" {
		return fmt.Errorf("the create was %s at once", first.Outcome)
	}
	if again, err := a.Creation(ctx, first.ID); err != nil || again != first {
		return but(err, "the create was %+v, and then %+v", first, again)
	}
	if !first.At.Equal(start) {
		return fmt.Errorf("it was created at %s by AWS's clock, which said %s", first.At, start)
	}
	if err := b.is(ctx, k, false, "while the create is under way"); err != nil {
		return err
	}
	if _, err := b.ended(ctx, first.ID, a.Creation); err != nil {
		return err
	}
	return b.is(ctx, k, true, "after the create")
}

func createFails(ctx context.Context, b *backend) error {
	a, k := b.assignments(), b.key("dana", "payments", "ReadOnly")
	k.Person = nobodyKnows
	s, err := a.Create(ctx, k)
	if err == nil {
		s, err = b.ended(ctx, s.ID, a.Creation)
	}
	if err != nil {
		return err
	}
	if s.Outcome != access.FailedOp || s.Reason == "" {
		return fmt.Errorf("a create for nobody became %s, %q", s.Outcome, s.Reason)
	}
	return nil
}

func createTwice(ctx context.Context, b *backend) error {
	a, k := b.assignments(), b.key("dana", "payments", "ReadOnly")
	for range 2 {
		if _, err := b.created(ctx, k); err != nil {
			return err
		}
	}
	if err := b.is(ctx, k, true, "after two creates"); err != nil {
		return err
	}
	s, err := a.Delete(ctx, k)
	if err == nil {
		_, err = b.ended(ctx, s.ID, a.Deletion)
	}
	if err != nil {
		return err
	}
	if err := b.is(ctx, k, false, "after the delete"); err != nil {
		return fmt.Errorf("still there: %w", err)
	}
	return nil
}

// deleteNothing allows both: what AWS does is not documented.
func deleteNothing(ctx context.Context, b *backend) error {
	a, k := b.assignments(), b.key("dana", "payments", "ReadOnly")
	s, err := a.Delete(ctx, k)
	if err == nil {
		s, err = b.ended(ctx, s.ID, a.Deletion)
	}
	if !errors.Is(err, access.ErrMissing) && (err != nil || s.Outcome != access.Succeeded) {
		return but(err, "deleting nothing became %s", s.Outcome)
	}
	return b.is(ctx, k, false, "after the delete")
}

func onlyOurs(ctx context.Context, b *backend) error {
	k := b.key("dana", "payments", "ReadOnly")
	if err := b.assign(ctx, ssotypes.PrincipalTypeGroup, string(b.group("developers")), k.Target); err != nil {
		return err
	}
	for _, other := range []access.Key{b.key("kim", "payments", "ReadOnly"), b.key("dana", "play", "ReadOnly"), b.key("dana", "payments", "Admin")} {
		if _, err := b.created(ctx, other); err != nil {
			return err
		}
	}
	b.pass(time.Minute)
	if err := b.is(ctx, k, false, "where only her group, a colleague, another account and another set are assigned,"); err != nil {
		return err
	}
	return b.is(ctx, b.key("kim", "payments", "ReadOnly"), true, "of kim")
}

func assignedOnEveryPage(ctx context.Context, b *backend) error {
	target := b.target("payments", "ReadOnly")
	var all []org.PersonID
	for i := range 105 { // a page has at most 100
		user := fmt.Sprintf("person-%03d", i)
		id, err := b.addPerson(ctx, user, user, "")
		if err == nil {
			err = b.assign(ctx, ssotypes.PrincipalTypeUser, string(id), target)
		}
		if err != nil {
			return err
		}
		all = append(all, id)
	}
	b.pass(time.Hour)
	for _, id := range all {
		if err := b.is(ctx, access.Key{Way: access.Assignment, Person: id, Target: target}, true, "of "+string(id)); err != nil {
			return err
		}
	}
	return b.is(ctx, b.key("dana", "payments", "ReadOnly"), false, "of dana")
}

func assignedNowhere(ctx context.Context, b *backend) error {
	for _, target := range []org.Target{
		{Account: "999999999999", PermissionSet: b.target("payments", "ReadOnly").PermissionSet},
		{Account: b.target("payments", "ReadOnly").Account, PermissionSet: missingSet(b)},
	} {
		if err := b.is(ctx, access.Key{Way: access.Assignment, Person: b.person("dana").ID, Target: target}, false, "nowhere"); err != nil {
			return err
		}
	}
	return nil
}

// missingSet is the ARN of a permission set of our instance that is not there.
func missingSet(b *backend) string {
	real := b.target("payments", "ReadOnly").PermissionSet
	return real[:strings.LastIndexByte(real, '/')] + "/ps-0000000000000000"
}

func createNowhere(ctx context.Context, b *backend) error {
	account, set := b.key("dana", "payments", "ReadOnly"), b.key("dana", "payments", "ReadOnly")
	account.Account, set.PermissionSet = "999999999999", missingSet(b)
	for _, k := range []access.Key{account, set} {
		if s, err := b.assignments().Create(ctx, k); !errors.Is(err, access.ErrMissing) {
			return but(err, "nothing was refused as missing: %+v", s)
		}
		if s, err := b.assignments().Delete(ctx, k); !errors.Is(err, access.ErrMissing) {
			return but(err, "no delete was refused as missing: %+v", s)
		}
	}
	return nil
}

func unknownOperation(ctx context.Context, b *backend) error {
	if s, err := b.assignments().Creation(ctx, nobodyKnows); !errors.Is(err, access.ErrMissing) {
		return but(err, "a create that nobody knows is %+v", s)
	}
	if s, err := b.assignments().Deletion(ctx, nobodyKnows); !errors.Is(err, access.ErrMissing) {
		return but(err, "a delete that nobody knows is %+v", s)
	}
	return nil
}

func operationOfOtherKind(ctx context.Context, b *backend) error {
	a, k := b.assignments(), b.key("dana", "payments", "ReadOnly")
	made, err := b.created(ctx, k)
	if err != nil {
		return err
	}
	taken, err := a.Delete(ctx, k)
	if err != nil {
		return err
	}
	if s, err := a.Deletion(ctx, made.ID); !errors.Is(err, access.ErrMissing) {
		return but(err, "a create is known as a delete: %+v", s)
	}
	if s, err := a.Creation(ctx, taken.ID); !errors.Is(err, access.ErrMissing) {
		return but(err, "a delete is known as a create: %+v", s)
	}
	return nil
}
