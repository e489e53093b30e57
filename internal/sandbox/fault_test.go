package sandbox

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssoadmin"
	admin "github.com/aws/aws-sdk-go-v2/service/ssoadmin/types"

	"sparekey/org"
)

// TestEveryFaultTellsOnlyWhatItTells runs a creation into each fault and looks at the answer, the status and the truth, at
// once, when AWS's own time is over, and much later.
func TestEveryFaultTellsOnlyWhatItTells(t *testing.T) {
	const never = admin.StatusValues("")
	for _, c := range []struct {
		fault         Fault
		code          string // "?" is no answer at all
		ends          admin.StatusValues
		soon, finally bool // assigned after 2 s, and after an hour
	}{
		{Fault{Kind: Throttle}, "ThrottlingException", never, false, false},
		{Fault{Kind: Denied}, "AccessDeniedException", never, false, false},
		{Fault{Kind: Conflict}, "ConflictException", never, false, false},
		{Fault{Kind: ServerError}, "InternalServerException", never, false, false},
		{Fault{Kind: ServerErrorAfter}, "InternalServerException", admin.StatusValuesSucceeded, true, true},
		{Fault{Kind: ServerErrorAfter, Delay: Duration(time.Minute)}, "InternalServerException", admin.StatusValuesInProgress, false, true},
		{Fault{Kind: Drop}, "?", never, false, false},
		{Fault{Kind: DropAfter}, "?", admin.StatusValuesSucceeded, true, true},
		{Fault{Kind: DropAfter, Hidden: true}, "?", never, true, true},
		{Fault{Kind: AsyncFailed, Reason: "because"}, "", admin.StatusValuesFailed, false, false},
		{Fault{Kind: AsyncFailedAfter}, "", admin.StatusValuesFailed, true, true},
		{Fault{Kind: Late, Delay: Duration(time.Minute)}, "", admin.StatusValuesFailed, false, true},
		{Fault{Kind: Slow, Delay: Duration(time.Second), Factor: 2}, "", admin.StatusValuesInProgress, false, true},
	} {
		t.Run(string(c.fault.Kind)+" "+time.Duration(c.fault.Delay).String(), func(t *testing.T) {
			f := start(t)
			a := f.of("dana", "Admin", paymentsID)
			c.fault.Times = 1
			f.Script(c.fault)
			_, err := f.create(a)
			f.wantCode(err, c.code)
			if f.Assigned(a) {
				t.Error("it happened at once")
			}
			f.clock.Advance(2 * time.Second)
			out, err := f.admin.ListAccountAssignmentCreationStatus(f.ctx, &ssoadmin.ListAccountAssignmentCreationStatusInput{InstanceArn: f.instance()})
			f.must(err)
			var ends admin.StatusValues
			if len(out.AccountAssignmentsCreationStatus) > 0 {
				last := out.AccountAssignmentsCreationStatus[0]
				ends = last.Status
				if c.fault.Reason != "" && aws.ToString(f.creation(last.RequestId).FailureReason) != c.fault.Reason {
					t.Errorf("%+v", f.creation(last.RequestId))
				}
			}
			if ends != c.ends || f.Assigned(a) != c.soon {
				t.Errorf("after 2 s: %q, assigned %v; want %q, %v", ends, f.Assigned(a), c.ends, c.soon)
			}
			f.clock.Advance(time.Hour)
			if f.Assigned(a) != c.finally {
				t.Errorf("finally assigned: %v", !c.finally)
			}
			if first := f.Calls()[0]; first.Fault != c.fault.Kind || (c.code == "?") != (first.Status == 0) {
				t.Errorf("the log says %+v", first)
			}
			if !f.Assigned(a) {
				_, err = f.create(a) // the fault befalls one call only
				f.must(err)
			}
		})
	}
}

func TestALateCreationLandsAfterTheDeletionThatCouldNotSeeIt(t *testing.T) {
	f := start(t)
	a := f.of("dana", "Admin", paymentsID)
	f.Script(Fault{Operation: "CreateAccountAssignment", Kind: Late, Delay: Duration(30 * time.Second), Times: 1})
	created, err := f.create(a)
	f.must(err)
	f.clock.Advance(2 * time.Second)
	if got := f.creation(created.RequestId); got.Status != admin.StatusValuesFailed || len(f.listed(a.Target)) != 0 {
		t.Errorf("%+v", got)
	}
	deleted, err := f.delete(a)
	f.must(err)
	f.clock.Advance(2 * time.Second)
	if got := f.deletion(deleted.RequestId); got.Status != admin.StatusValuesSucceeded || f.Assigned(a) {
		t.Errorf("%+v", got)
	}
	if unfinished, unlanded := f.Outstanding(); unfinished != 0 || !unlanded {
		t.Errorf("%d unfinished, unlanded %v", unfinished, unlanded)
	}
	f.clock.Advance(time.Minute)
	if len(f.listed(a.Target)) != 1 || !f.Assigned(a) {
		t.Error("it never came")
	}
}

func TestAFaultBefallsOnlyTheCallsThatItMatches(t *testing.T) {
	f := start(t)
	dana, kim := f.of("dana", "Admin", paymentsID), f.of("kim", "Admin", paymentsID)
	for name, c := range map[string]struct {
		fault Fault
		want  []string // of a creation for dana in payments, one for kim, and one for dana in the sandbox account
	}{
		"any":                {Fault{}, []string{"x", "x", "x"}},
		"another service":    {Fault{Service: "organizations"}, []string{"", "", ""}},
		"the service":        {Fault{Service: "sso-admin"}, []string{"x", "x", "x"}},
		"another operation":  {Fault{Operation: "DeleteAccountAssignment"}, []string{"", "", ""}},
		"the account":        {Fault{Account: paymentsID}, []string{"x", "x", ""}},
		"the set":            {Fault{PermissionSet: "Admin"}, []string{"x", "x", "x"}},
		"the set's ARN":      {Fault{PermissionSet: dana.PermissionSet}, []string{"x", "x", "x"}},
		"another set":        {Fault{PermissionSet: "ReadOnly"}, []string{"", "", ""}},
		"no set":             {Fault{PermissionSet: "None"}, []string{"", "", ""}},
		"the person":         {Fault{Principal: "kim"}, []string{"", "x", ""}},
		"the person's id":    {Fault{Principal: dana.Principal}, []string{"x", "", "x"}},
		"nobody":             {Fault{Principal: "none"}, []string{"", "", ""}},
		"after the first":    {Fault{Skip: 1}, []string{"", "x", "x"}},
		"once":               {Fault{Times: 1}, []string{"x", "", ""}},
		"the second of dana": {Fault{Principal: "dana", Skip: 1, Times: 1}, []string{"", "", "x"}},
	} {
		f.ClearFaults()
		c.fault.Kind = Throttle
		f.Script(c.fault)
		var got []string
		for _, a := range []org.Assignment{dana, kim, f.of("dana", "Admin", sandboxID)} {
			_, err := f.create(a)
			if code(err) == "ThrottlingException" {
				got = append(got, "x")
			} else {
				f.must(err)
				got = append(got, "")
			}
			f.clock.Advance(time.Minute)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestTheStatusOfAnOperationIsAboutItsAssignment(t *testing.T) {
	f := start(t)
	op, err := f.create(f.of("dana", "Admin", paymentsID))
	f.must(err)
	f.Script(Fault{Operation: "DescribeAccountAssignmentCreationStatus", Principal: "dana", Account: paymentsID, Kind: ServerError})
	_, err = f.admin.DescribeAccountAssignmentCreationStatus(f.ctx, &ssoadmin.DescribeAccountAssignmentCreationStatusInput{
		InstanceArn: f.instance(), AccountAssignmentCreationRequestId: op.RequestId,
	})
	f.wantCode(err, "InternalServerException")
}

func TestAFaultWaitsWhileCallsAreRefusedForTheirOwnReasons(t *testing.T) {
	f := start(t)
	f.Script(Fault{Operation: "CreateAccountAssignment", Kind: ServerErrorAfter, Times: 1})
	_, err := f.create(f.of("dana", "Admin", "999999999999"))
	f.wantCode(err, "ResourceNotFoundException")
	_, err = f.create(f.of("dana", "Admin", paymentsID))
	f.wantCode(err, "InternalServerException")
}

func TestAHangingCallIsAnsweredWhenItsTimeHasPassed(t *testing.T) {
	f := start(t)
	a := f.of("dana", "Admin", paymentsID)
	f.Script(Fault{Operation: "CreateAccountAssignment", Kind: Hang, Delay: Duration(time.Minute), Times: 1})
	answered := make(chan error)
	go func() { _, err := f.create(a); answered <- err }()
	f.must(f.clock.Await(f.ctx, 1))
	if _, err := f.orgs.ListRoots(f.ctx, nil); err != nil { // others are served meanwhile
		t.Error(err)
	}
	f.clock.Advance(time.Minute)
	f.must(<-answered)
	if f.Assigned(a) {
		t.Error("it was accepted a minute ago")
	}
	f.clock.Advance(2 * time.Second)
	if !f.Assigned(a) {
		t.Error("it did not happen")
	}
}

func TestAHangingCallEndsWithItsClientAndNothingHappens(t *testing.T) {
	for _, delay := range []time.Duration{0, time.Minute} {
		f := start(t)
		a := f.of("dana", "Admin", paymentsID)
		f.Script(Fault{Operation: "CreateAccountAssignment", Kind: Hang, Delay: Duration(delay)})
		g := *f
		var cancel context.CancelFunc
		g.ctx, cancel = context.WithCancel(f.ctx)
		g.inProcess() // so that the handler has returned when the client has
		answered := make(chan error)
		go func() { _, err := g.create(a); answered <- err }()
		f.must(f.clock.Await(f.ctx, min(1, int(delay))))
		cancel()
		if err := <-answered; err == nil {
			t.Error("it was answered")
		}
		if f.clock.Waiting() != 0 {
			t.Errorf("%d still wait", f.clock.Waiting())
		}
		f.clock.Advance(time.Hour)
		if f.Assigned(a) {
			t.Error("it happened")
		}
	}
}

func TestAFaultThatCannotBeIsRefused(t *testing.T) {
	for name, f := range map[string]Fault{
		"no kind": {}, "a kind that there is not": {Kind: "x"}, "late, but when": {Kind: Late}, "a service that there is not": {Kind: Drop, Service: "s3"},
		"negative": {Kind: Drop, Skip: -1}, "an operation that there is not": {Kind: Drop, Operation: "CreateAssignment"},
		"an operation of another service": {Kind: Drop, Operation: "ListRoots", Service: "sso-admin"},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s was taken", name)
				}
			}()
			start(t).Script(f)
		}()
	}
}

func TestAConflictDoesNotBefallAServiceThatHasNone(t *testing.T) {
	f := start(t)
	f.Script(Fault{Kind: Conflict})
	f.client()
	_, err := f.orgs.ListRoots(f.ctx, nil)
	f.wantCode(err, "ConcurrentModificationException")
}
