package jobs

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"sparekey/access"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/org"
)

// What happens in schedules, beside time.

// fault is a fault at a call of a kind.
func (s *schedule) fault() {
	kinds := []sandbox.Fault{
		{Kind: sandbox.Throttle}, {Kind: sandbox.Denied}, {Kind: sandbox.ServerError}, {Kind: sandbox.Drop}, {Kind: sandbox.ServerErrorAfter}, {Kind: sandbox.DropAfter},
	}
	operations := []string{
		"ListAccountAssignments", "CreateAccountAssignment", "DeleteAccountAssignment", "DescribeAccountAssignmentCreationStatus",
		"DescribeAccountAssignmentDeletionStatus", "ListAccountAssignmentCreationStatus", "CreateGroupMembership", "DeleteGroupMembership", "GetGroupMembershipId", "AssumeRole",
	}
	operation := rapid.SampledFrom(operations).Draw(s.t, "operation")
	if strings.HasSuffix(operation, "teAccountAssignment") {
		kinds = append(kinds, sandbox.Fault{Kind: sandbox.AsyncFailed}, sandbox.Fault{Kind: sandbox.AsyncFailedAfter}, sandbox.Fault{Kind: sandbox.Conflict},
			sandbox.Fault{Kind: sandbox.Slow, Delay: sandbox.Duration(30 * time.Second)})
	}
	if operation == "CreateAccountAssignment" { // a delete that lands late takes what was given anew: AWS's own affair
		kinds = append(kinds, sandbox.Fault{Kind: sandbox.Late, Delay: sandbox.Duration(8 * time.Minute)},
			sandbox.Fault{Kind: sandbox.DropAfter, Hidden: true, Delay: sandbox.Duration(40 * time.Second)})
	}
	f := rapid.SampledFrom(kinds).Draw(s.t, "fault")
	f.Operation, f.Times = operation, rapid.SampledFrom([]int{1, 1, 1, 3, 20}).Draw(s.t, "times")
	s.Box.Script(f)
}

func (s *schedule) ask() {
	targets := []string{"play ReadOnly", "play PowerUser", "play-two ReadOnly", "play role/ops/Deployer", "payments-prod PowerUser"}
	account, set, _ := strings.Cut(rapid.SampledFrom(targets).Draw(s.t, "target"), " ")
	w := broker.Wish{Targets: []broker.Names{{Account: account, PermissionSet: set}}, Reason: "INC-1", Key: fmt.Sprint("key-", s.Clock.Now().UnixNano())}
	w.Duration = time.Duration(rapid.SampledFrom([]int{5, 30}).Draw(s.t, "minutes")) * time.Minute
	q, err := s.some().Ask(s.As(rapid.SampledFrom([]string{"dana", "eli"}).Draw(s.t, "who")), w)
	if err == nil && q.Open() && rapid.Bool().Draw(s.t, "approved") {
		_, err = s.some().Approve(s.As("ren"), q.ID, "", 0)
	}
	s.said(err)
}

// mine draws a grant that is not over.
func (s *schedule) mine() access.Grant {
	live := slices.DeleteFunc(s.grants(), over)
	if len(live) == 0 {
		s.t.Skip("nothing is live")
	}
	slices.SortFunc(live, func(a, b access.Grant) int { return strings.Compare(a.ID, b.ID) })
	return live[rapid.IntRange(0, len(live)-1).Draw(s.t, "grant")]
}

func (s *schedule) end() {
	g := s.mine()
	_, err := s.some().End(s.As(g.Person.User), g.ID, "done")
	s.said(err)
}

func (s *schedule) extend() {
	g := s.mine()
	_, err := s.some().Ask(s.As(g.Person.User), broker.Wish{Extends: g.ID, Duration: 10 * time.Minute, Reason: "INC-1", Key: fmt.Sprint("more-", s.Clock.Now().UnixNano())})
	s.said(err)
}

func (s *schedule) stopIt() {
	scopes := []broker.Scope{{Everything: true}, {Person: "dana"}, {Account: "play"}, {PermissionSet: "ReadOnly"}, {Rule: "play"}, {Person: "eli", Account: "play"}}
	holds := time.Duration(rapid.SampledFrom([]int{0, 5}).Draw(s.t, "holds")) * time.Minute
	done, err := s.some().Stop(s.As("amy"), broker.Button{Scope: rapid.SampledFrom(scopes).Draw(s.t, "scope"), Why: "stolen", Holds: holds})
	if err == nil && rapid.Bool().Draw(s.t, "lifted") {
		_, err = s.some().LiftStop(s.As("amy"), done.Stop.ID, "mended")
	}
	s.said(err)
}

func (s *schedule) directory() {
	who := rapid.SampledFrom([]string{"dana", "eli"}).Draw(s.t, "who")
	s.Says(who, rapid.SampledFrom([]org.Status{org.StatusDisabled, org.StatusEnabled, org.StatusEnabled}).Draw(s.t, "status"))
	s.said(s.some().LetGo(s.As("sparekey")))
}

// plotted draws a death or a pause at one of the next calls.
func (s *schedule) plotted() {
	s.what = plot{calls: rapid.IntRange(0, 12).Draw(s.t, "calls before"), kind: rapid.SampledFrom([]string{"death before", "death after", "pause"}).Draw(s.t, "plot")}
	if s.what.kind == "pause" {
		s.what.pause = time.Duration(rapid.SampledFrom([]int{5, 20, 60, 700}).Draw(s.t, "paused")) * time.Second
	}
}

func (s *schedule) replicasChange() {
	i := rapid.IntRange(0, 2).Draw(s.t, "replica")
	switch {
	case s.replicas[i] == nil:
		s.birth(i)
	default: // it stops, and gives nothing back
		s.replicas[i].die()
		s.replicas[i] = nil
	}
	s.work()
}

func stories(all []access.Grant) string {
	var b strings.Builder
	for _, g := range all {
		fmt.Fprintln(&b, rig.Story(g))
	}
	return b.String()
}
