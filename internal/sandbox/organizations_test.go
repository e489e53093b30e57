package sandbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/organizations/types"

	"sparekey/org"
)

func TestTheTreeIsTheOneThatWasDescribed(t *testing.T) {
	f := start(t)
	o := f.m.Organization()
	described, err := f.orgs.DescribeOrganization(f.ctx, &organizations.DescribeOrganizationInput{})
	f.must(err)
	if *described.Organization.Id != o.ID || *described.Organization.MasterAccountId != managementID || !strings.HasSuffix(*described.Organization.Arn, "organization/"+o.ID) {
		t.Errorf("%+v", described.Organization)
	}
	roots, err := f.orgs.ListRoots(f.ctx, &organizations.ListRootsInput{})
	f.must(err)
	if len(roots.Roots) != 1 || *roots.Roots[0].Id != string(o.Root) {
		t.Errorf("%+v", roots.Roots)
	}
	seen := map[string]string{}
	var walk func(parent, path string)
	walk = func(parent, path string) {
		accounts, err := f.orgs.ListAccountsForParent(f.ctx, &organizations.ListAccountsForParentInput{ParentId: &parent})
		f.must(err)
		for _, a := range accounts.Accounts {
			seen[*a.Id] = path
			above, err := f.orgs.ListParents(f.ctx, &organizations.ListParentsInput{ChildId: a.Id})
			f.must(err)
			if *above.Parents[0].Id != parent || !strings.HasSuffix(a.Paths[0], parent+"/"+*a.Id+"/") {
				t.Errorf("%s is below %s and says %s", *a.Id, parent, a.Paths[0])
			}
		}
		units, err := f.orgs.ListOrganizationalUnitsForParent(f.ctx, &organizations.ListOrganizationalUnitsForParentInput{ParentId: &parent})
		f.must(err)
		for _, ou := range units.OrganizationalUnits {
			walk(*ou.Id, path+"/"+*ou.Name)
		}
		children, err := f.orgs.ListChildren(f.ctx, &organizations.ListChildrenInput{ParentId: &parent, ChildType: types.ChildTypeOrganizationalUnit})
		f.must(err)
		if len(children.Children) != len(units.OrganizationalUnits) {
			t.Errorf("%d children, %d units", len(children.Children), len(units.OrganizationalUnits))
		}
	}
	walk(string(o.Root), "")
	if want := map[string]string{managementID: "", delegatedID: "/Core", paymentsID: "/Workloads/Prod", sandboxID: "/Workloads/Dev"}; fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", seen, want)
	}
}

func TestAccountsSayStateAndStatus(t *testing.T) {
	f := start(t)
	for state, status := range map[org.AccountState]types.AccountStatus{
		org.AccountActive: types.AccountStatusActive, org.AccountSuspended: types.AccountStatusSuspended, "CLOSED": types.AccountStatusSuspended,
		"PENDING_CLOSURE": types.AccountStatusPendingClosure,
	} {
		f.must(f.Change(func(d *Directory) error { return d.SetAccountState(paymentsID, state) }))
		out, err := f.orgs.DescribeAccount(f.ctx, &organizations.DescribeAccountInput{AccountId: aws.String(paymentsID)})
		f.must(err)
		if out.Account.State != types.AccountState(state) || out.Account.Status != status {
			t.Errorf("%s: %s, %s", state, out.Account.State, out.Account.Status)
		}
	}
}

func TestTagsComeAndGo(t *testing.T) {
	f := start(t)
	tags := func() string {
		out, err := f.orgs.ListTagsForResource(f.ctx, &organizations.ListTagsForResourceInput{ResourceId: aws.String(paymentsID)})
		f.must(err)
		var all []string
		for _, t := range out.Tags {
			all = append(all, *t.Key+"="+*t.Value)
		}
		return strings.Join(all, " ")
	}
	if got := tags(); got != "env=prod owner=pay" {
		t.Error(got)
	}
	_, err := f.orgs.TagResource(f.ctx, &organizations.TagResourceInput{ResourceId: aws.String(paymentsID), Tags: []types.Tag{{Key: aws.String("env"), Value: aws.String("")}}})
	f.must(err)
	_, err = f.orgs.UntagResource(f.ctx, &organizations.UntagResourceInput{ResourceId: aws.String(paymentsID), TagKeys: []string{"owner", "none"}})
	f.must(err)
	if got := tags(); got != "env=" {
		t.Error(got)
	}
	f.must(f.Change(func(d *Directory) error { return d.TagAccount(paymentsID, map[string]string{"a": "b"}) }))
	if got := tags(); got != "a=b" {
		t.Error(got)
	}
}

func TestAnAccountIsCreatedInTimeAndMoved(t *testing.T) {
	f := start(t)
	begin := func(mail string) *string {
		out, err := f.orgs.CreateAccount(f.ctx, &organizations.CreateAccountInput{Email: &mail, AccountName: aws.String("new")})
		f.must(err)
		return out.CreateAccountStatus.Id
	}
	look := func(id *string) *types.CreateAccountStatus {
		out, err := f.orgs.DescribeCreateAccountStatus(f.ctx, &organizations.DescribeCreateAccountStatusInput{CreateAccountRequestId: id})
		f.must(err)
		return out.CreateAccountStatus
	}
	first, second := begin("new@example.com"), begin("NEW@example.com")
	if got := look(first); got.State != types.CreateAccountStateInProgress || got.AccountId != nil || got.CompletedTimestamp != nil {
		t.Errorf("%+v", got)
	}
	f.clock.Advance(30 * time.Second)
	made := look(first)
	if made.State != types.CreateAccountStateSucceeded || !org.ValidAccountID(aws.ToString(made.AccountId)) {
		t.Errorf("%+v", made)
	}
	if got := look(second); got.State != types.CreateAccountStateFailed || got.FailureReason != types.CreateAccountFailureReasonEmailAlreadyExists {
		t.Errorf("%+v", got)
	}
	root := string(f.m.Organization().Root)
	unit, err := f.orgs.CreateOrganizationalUnit(f.ctx, &organizations.CreateOrganizationalUnitInput{ParentId: &root, Name: aws.String("New")})
	f.must(err)
	_, err = f.orgs.MoveAccount(f.ctx, &organizations.MoveAccountInput{AccountId: made.AccountId, SourceParentId: &root, DestinationParentId: unit.OrganizationalUnit.Id})
	f.must(err)
	_, err = f.orgs.MoveAccount(f.ctx, &organizations.MoveAccountInput{AccountId: made.AccountId, SourceParentId: &root, DestinationParentId: unit.OrganizationalUnit.Id})
	f.wantCode(err, "SourceParentNotFoundException")
	above, err := f.orgs.ListParents(f.ctx, &organizations.ListParentsInput{ChildId: made.AccountId})
	f.must(err)
	if *above.Parents[0].Id != *unit.OrganizationalUnit.Id {
		t.Errorf("%+v", above.Parents)
	}
}

// listAccounts walks all pages of ListAccounts.
func (f *fixture) listAccounts(max int32) (ids []string, pages int) {
	f.t.Helper()
	var token *string
	for {
		out, err := f.orgs.ListAccounts(f.ctx, &organizations.ListAccountsInput{MaxResults: aws.Int32(max), NextToken: token})
		f.must(err)
		pages++
		for _, a := range out.Accounts {
			ids = append(ids, *a.Id)
		}
		if token = out.NextToken; token == nil {
			return ids, pages
		}
	}
}

func TestPagesHoldWhatWasAskedFor(t *testing.T) {
	f := start(t)
	for i := range 46 {
		f.must(f.Change(func(d *Directory) error {
			return d.AddAccount(org.Account{ID: org.AccountID(fmt.Sprintf("2%011d", i)), Name: "many"})
		}))
	}
	for max, want := range map[int32]int{20: 3, 7: 8, 1: 50} {
		if ids, pages := f.listAccounts(max); len(ids) != 50 || pages != want || !slices.IsSorted(ids) {
			t.Errorf("%d at a time: %d accounts in %d pages, want %d", max, len(ids), pages, want)
		}
	}
	out, err := f.orgs.ListAccounts(f.ctx, &organizations.ListAccountsInput{})
	f.must(err)
	for name, in := range map[string]*organizations.ListAccountsInput{
		"made up": {NextToken: aws.String("AAAA")}, "too many": {MaxResults: aws.Int32(21)}, "none": {MaxResults: aws.Int32(0)},
	} {
		if _, err := f.orgs.ListAccounts(f.ctx, in); code(err) != "InvalidInputException" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = f.orgs.ListRoots(f.ctx, &organizations.ListRootsInput{NextToken: out.NextToken})
	f.wantCode(err, "InvalidInputException") // a token of another list
}

func TestAListingMayBeginWithAnEmptyPage(t *testing.T) {
	f := start(t, func(o *Options) { o.Behaviour.EmptyPages = true })
	if ids, pages := f.listAccounts(20); len(ids) != 4 || pages != 2 {
		t.Errorf("%v in %d pages", ids, pages)
	}
}

func TestASandboxWithoutAnOrganizationHasAManagementAccount(t *testing.T) {
	f := start(t, func(o *Options) {
		o.Organization, o.Assignments, o.DelegatedAdministrator = org.Organization{}, nil, ""
	})
	if ids, _ := f.listAccounts(20); !slices.Equal(ids, []string{"100000000001"}) {
		t.Error(ids)
	}
}

func TestAnOUHasTheTagsThatItWasDescribedWith(t *testing.T) {
	f := start(t)
	prod, _ := f.m.OU("Workloads/Prod")
	tags := func() map[string]string {
		out, err := f.orgs.ListTagsForResource(f.ctx, &organizations.ListTagsForResourceInput{ResourceId: aws.String(string(prod))})
		f.must(err)
		all := map[string]string{}
		for _, t := range out.Tags {
			all[*t.Key] = *t.Value
		}
		return all
	}
	if got := tags(); len(got) != 1 || got["tier"] != "live" {
		t.Error(got)
	}
	f.must(f.Change(func(d *Directory) error { return d.TagOU(prod, map[string]string{"owner": "pay"}) }))
	if got := tags(); len(got) != 1 || got["owner"] != "pay" {
		t.Error(got)
	}
	if err := f.Change(func(d *Directory) error { return d.TagOU("ou-none", nil) }); err == nil {
		t.Error("an OU that there is not")
	}
}
