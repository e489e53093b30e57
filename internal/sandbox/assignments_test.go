package sandbox

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin"
	admin "github.com/aws/aws-sdk-go-v2/service/ssoadmin/types"

	"sparekey/org"
)

func TestAnAssignmentTakesTimeToComeAndToGo(t *testing.T) {
	f := start(t)
	a := f.of("dana", "Admin", paymentsID)
	op, err := f.create(a)
	f.must(err)
	if op.Status != admin.StatusValuesInProgress || f.Assigned(a) || len(f.listed(a.Target)) != 0 {
		t.Errorf("accepted: %+v, assigned %v", op, f.Assigned(a))
	}
	f.clock.Advance(1999 * time.Millisecond)
	if got := f.creation(op.RequestId); got.Status != admin.StatusValuesInProgress {
		t.Errorf("too early: %+v", got)
	}
	f.clock.Advance(time.Millisecond)
	if got := f.creation(op.RequestId); got.Status != admin.StatusValuesSucceeded || aws.ToString(got.PrincipalId) != a.Principal || !got.CreatedDate.Equal(f.clock.Now().Add(-2*time.Second)) {
		t.Errorf("ended: %+v", got)
	}
	if got := f.listed(a.Target); !f.Assigned(a) || len(got) != 1 || aws.ToString(got[0].PrincipalId) != a.Principal {
		t.Errorf("listed: %+v", got)
	}
	op, err = f.delete(a)
	f.must(err)
	if op.Status != admin.StatusValuesInProgress || !f.Assigned(a) {
		t.Errorf("accepted: %+v", op)
	}
	f.clock.Advance(2 * time.Second)
	if got := f.deletion(op.RequestId); got.Status != admin.StatusValuesSucceeded || f.Assigned(a) || len(f.listed(a.Target)) != 0 {
		t.Errorf("ended: %+v", got)
	}
}

func TestDoingItTwiceSucceedsAndChangesNothing(t *testing.T) {
	f := start(t)
	a := f.of("dana", "Admin", paymentsID)
	for range 2 {
		op, err := f.create(a)
		f.must(err)
		f.clock.Advance(time.Hour)
		if got := f.creation(op.RequestId); got.Status != admin.StatusValuesSucceeded {
			t.Errorf("%+v", got)
		}
	}
	role := f.Roles(paymentsID)
	for range 2 {
		op, err := f.delete(a)
		f.must(err)
		f.clock.Advance(time.Hour)
		if got := f.deletion(op.RequestId); got.Status != admin.StatusValuesSucceeded {
			t.Errorf("%+v", got)
		}
	}
	if len(role) != 2 || f.Assigned(a) {
		t.Errorf("roles %+v", role)
	}
}

func TestDeletingWhatIsNotThereCanBeNotFound(t *testing.T) {
	f := start(t, func(o *Options) { o.Behaviour.MissingIsNotFound = true })
	_, err := f.delete(f.of("dana", "Admin", paymentsID))
	f.wantCode(err, "ResourceNotFoundException")
}

func TestOperationsOnOneAssignmentConflictUntilTheFirstEnds(t *testing.T) {
	f := start(t)
	a := f.of("dana", "Admin", paymentsID)
	_, err := f.create(a)
	f.must(err)
	_, err = f.delete(a)
	f.wantCode(err, "ConflictException")
	_, err = f.create(a)
	f.wantCode(err, "ConflictException")
	_, err = f.create(f.of("kim", "Admin", paymentsID)) // another principal
	f.must(err)
	f.clock.Advance(2 * time.Second)
	_, err = f.delete(a)
	f.must(err)
}

func TestOperationsInOneAccountEndOneAfterAnother(t *testing.T) {
	f := start(t)
	first, err := f.create(f.of("dana", "Admin", paymentsID))
	f.must(err)
	second, err := f.create(f.of("kim", "ReadOnly", paymentsID))
	f.must(err)
	elsewhere, err := f.create(f.of("dana", "Admin", sandboxID))
	f.must(err)
	f.clock.Advance(2 * time.Second)
	var done []admin.StatusValues
	for _, op := range []*admin.AccountAssignmentOperationStatus{first, second, elsewhere} {
		done = append(done, f.creation(op.RequestId).Status)
	}
	if !slices.Equal(done, []admin.StatusValues{"SUCCEEDED", "IN_PROGRESS", "SUCCEEDED"}) {
		t.Errorf("after 2 s: %v", done)
	}
	f.clock.Advance(2 * time.Second)
	if got := f.creation(second.RequestId); got.Status != admin.StatusValuesSucceeded {
		t.Errorf("after 4 s: %+v", got)
	}
}

func TestMoreThanTenUnfinishedOperationsAreThrottled(t *testing.T) {
	f := start(t)
	var accepted int
	for _, account := range []string{paymentsID, sandboxID} {
		for _, set := range []string{"Admin", "ReadOnly", "ManagementOnly"} {
			for _, user := range []string{"dana", "kim"} {
				_, err := f.create(f.of(user, set, account))
				if accepted < 10 {
					f.must(err)
					accepted++
				} else {
					f.wantCode(err, "ThrottlingException")
				}
			}
		}
	}
	f.clock.Advance(2 * time.Second) // one ended in each of the two accounts
	_, err := f.create(f.of("lee", "Admin", sandboxID))
	f.must(err)
}

func TestMoreThanTwentyCallsInASecondAreThrottled(t *testing.T) {
	f := start(t, func(o *Options) { o.Behaviour.CallsPerSecond = 0 })
	ask := func() error {
		_, err := f.admin.ListInstances(f.ctx, &ssoadmin.ListInstancesInput{})
		return err
	}
	for range 20 {
		f.must(ask())
	}
	f.wantCode(ask(), "ThrottlingException")
	f.clock.Advance(100 * time.Millisecond)
	f.must(ask())
	f.must(ask())
	f.wantCode(ask(), "ThrottlingException")
}

func TestTheRoleComesWithTheFirstAssignmentAndIsAnotherOneAfterTheLast(t *testing.T) {
	f := start(t)
	do := func(what func(org.Assignment) (*admin.AccountAssignmentOperationStatus, error), a org.Assignment) {
		t.Helper()
		_, err := what(a)
		f.must(err)
		f.clock.Advance(2 * time.Second)
	}
	named := func() []string {
		var names []string
		for _, r := range f.Roles(sandboxID) {
			names = append(names, r.Name)
		}
		return names
	}
	dana, kim := f.of("dana", "Admin", sandboxID), f.of("kim", "Admin", sandboxID)
	if len(named()) != 0 {
		t.Fatalf("roles before: %v", named())
	}
	do(f.create, dana)
	first := named()
	if len(first) != 1 || !regexp.MustCompile(`^AWSReservedSSO_Admin_[0-9a-f]{16}$`).MatchString(first[0]) {
		t.Fatalf("roles: %v", first)
	}
	do(f.create, kim)
	do(f.delete, dana)
	if !slices.Equal(named(), first) {
		t.Errorf("the role changed while it was in use: %v, %v", first, named())
	}
	do(f.delete, kim)
	if len(named()) != 0 {
		t.Errorf("roles after the last: %v", named())
	}
	do(f.create, dana)
	if again := named(); len(again) != 1 || again[0] == first[0] {
		t.Errorf("the role came again as %v, before it was %v", again, first)
	}
}

func TestTheRolesPathNamesEveryRegionButOne(t *testing.T) {
	for region, want := range map[string]string{
		"us-east-1": "role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_", "eu-west-1": "role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_",
	} {
		f := start(t, func(o *Options) { o.Region = region })
		if got := f.Roles(paymentsID); len(got) != 1 || !strings.HasPrefix(got[0].ARN, "arn:aws:iam::100000000003:"+want+"ReadOnly_") {
			t.Errorf("%s: %+v", region, got)
		}
	}
}

func TestWhatAnOperationNamesMustBeThere(t *testing.T) {
	f := start(t)
	nobody := f.of("dana", "Admin", paymentsID)
	nobody.Principal = "00000000-0000-4000-8000-000000000000"
	nowhere := f.of("dana", "Admin", "999999999999")
	nothing := f.of("dana", "Admin", paymentsID)
	nothing.PermissionSet = nothing.PermissionSet[:len(nothing.PermissionSet)-16] + "0000000000000000"

	_, err := f.create(nowhere)
	f.wantCode(err, "ResourceNotFoundException")
	_, err = f.create(nothing)
	f.wantCode(err, "ResourceNotFoundException")
	op, err := f.create(nobody)
	f.must(err)
	f.clock.Advance(2 * time.Second)
	if got := f.creation(op.RequestId); got.Status != admin.StatusValuesFailed || !strings.Contains(aws.ToString(got.FailureReason), "was not found in directory d-") {
		t.Errorf("%+v", got)
	}
	f.must(f.Change(func(d *Directory) error { return d.SetAccountState(paymentsID, org.AccountSuspended) }))
	op, err = f.create(f.of("dana", "Admin", paymentsID))
	f.must(err)
	f.clock.Advance(2 * time.Second)
	if got := f.creation(op.RequestId); got.Status != admin.StatusValuesFailed || !strings.Contains(aws.ToString(got.FailureReason), "taking longer than usual") {
		t.Errorf("%+v", got)
	}
}

func TestTheAssignmentOfARemovedPersonStaysUntilSomebodyDeletesIt(t *testing.T) {
	for _, deletable := range []bool{false, true} {
		f := start(t, func(o *Options) { o.Behaviour.OrphansStay = !deletable })
		a := f.of("dana", "Admin", paymentsID)
		f.must(f.Change(func(d *Directory) error { return d.Assign(a) }))
		f.must(f.Change(func(d *Directory) error { return d.SetStatus(f.person("dana").ID, org.StatusRemoved) }))
		op, err := f.delete(a)
		f.must(err)
		f.clock.Advance(2 * time.Second)
		if got := f.deletion(op.RequestId); (got.Status == admin.StatusValuesSucceeded) != deletable || f.Assigned(a) == deletable {
			t.Errorf("deletable %v: %+v, assigned %v", deletable, got, f.Assigned(a))
		}
	}
}

func TestListingsLagBehindTheTruth(t *testing.T) {
	f := start(t, func(o *Options) { o.Behaviour.ListingLag = 10 * time.Second })
	a := f.of("dana", "Admin", paymentsID)
	forDana := func() int {
		out, err := f.admin.ListAccountAssignmentsForPrincipal(f.ctx, &ssoadmin.ListAccountAssignmentsForPrincipalInput{
			InstanceArn: f.instance(), PrincipalId: aws.String(a.Principal), PrincipalType: admin.PrincipalTypeUser,
			Filter: &admin.ListAccountAssignmentsFilter{AccountId: aws.String(paymentsID)},
		})
		f.must(err)
		return len(out.AccountAssignments)
	}
	before := forDana()
	_, err := f.create(a)
	f.must(err)
	f.clock.Advance(2 * time.Second)
	if !f.Assigned(a) || len(f.listed(a.Target)) != 0 || forDana() != before {
		t.Error("a listing shows at once what it should show later")
	}
	f.clock.Advance(10 * time.Second)
	if len(f.listed(a.Target)) != 1 || forDana() != before+1 {
		t.Error("the lag never ends")
	}
	_, err = f.delete(a)
	f.must(err)
	f.clock.Advance(3 * time.Second)
	if f.Assigned(a) || len(f.listed(a.Target)) != 1 {
		t.Error("a listing forgot at once what it should still show")
	}
	f.clock.Advance(9 * time.Second)
	if len(f.listed(a.Target)) != 0 {
		t.Error("the lag never ends")
	}
}

func TestAPersonIsListedWithWhatComesThroughGroups(t *testing.T) {
	f := start(t)
	f.must(f.Change(func(d *Directory) error { return d.Assign(f.of("dana", "Admin", sandboxID)) }))
	out, err := f.admin.ListAccountAssignmentsForPrincipal(f.ctx, &ssoadmin.ListAccountAssignmentsForPrincipalInput{
		InstanceArn: f.instance(), PrincipalId: aws.String(string(f.person("dana").ID)), PrincipalType: admin.PrincipalTypeUser,
	})
	f.must(err)
	var kinds []string
	for _, a := range out.AccountAssignments {
		kinds = append(kinds, *a.AccountId+" "+string(a.PrincipalType))
	}
	if !slices.Equal(kinds, []string{managementID + " GROUP", paymentsID + " GROUP", sandboxID + " USER"}) {
		t.Errorf("%v", kinds)
	}
}
