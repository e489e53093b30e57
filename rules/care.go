package rules

import (
	"fmt"
	"slices"
	"strings"
)

// What of a change of rules only shows when a rule that is gone had decided, or on targets that are marked as sensitive.

// same reports whether two books mark the same as sensitive, reviewed alike.
func (s Sensitive) same(o Sensitive) bool {
	return slices.Equal(texts(s.Accounts), texts(o.Accounts)) && slices.Equal(texts(s.PermissionSets), texts(o.PermissionSets)) && sameReview(s.Review, o.Review)
}

// marks reports whether anything is marked.
func (s Sensitive) marks() bool { return len(s.Accounts)+len(s.PermissionSets) > 0 }

// lessThan says which marks are gone, and whether their review is another. A first mark takes nothing away.
func (s Sensitive) lessThan(before Sensitive) []string {
	var why []string
	for _, gone := range [][2][]string{{texts(before.Accounts), texts(s.Accounts)}, {texts(before.PermissionSets), texts(s.PermissionSets)}} {
		for _, word := range gone[0] {
			if !slices.Contains(gone[1], word) {
				why = append(why, fmt.Sprintf("%s is not marked as sensitive any more", word))
			}
		}
	}
	if before.marks() && !sameReview(before.Review, s.Review) {
		why = append(why, "automatic use of what is sensitive is reviewed by others, or within another time")
	}
	return why
}

// caredFor reports whether a rule that takes the place of another gives nothing on sensitive targets that the other did not,
// and lets it be reviewed alike. What is automatic gives nothing there without a review.
func (r *Rule) caredFor(o *Rule, care Sensitive) bool {
	if !care.marks() || !(o.needsNobody() || o.onCall() != "") || o.Review != nil {
		return true
	}
	if care.Review == nil {
		return r.needsNobody() && r.Review == nil // as little as the other
	}
	return r.Review == nil || sameReview(r.Review, care.Review)
}

// successor finds a rule that may decide where one that is gone did, although others agree under it, or with less care.
func (r *Rule) successor(after *Book) *Rule {
	for _, o := range after.Rules {
		if !o.Deny && o.meets(r) && !o.follows(r, after.Sensitive) {
			return o
		}
	}
	return nil
}

// follows reports whether nobody gains where a rule decides in the place of another. It gave what it gives before as well, to
// whoever the other did not help: only who agrees, and with what care, can be another.
func (r *Rule) follows(gone *Rule, care Sensitive) bool {
	switch {
	case r.total() < gone.total(): // it decided before as well, while anybody could approve
		return true
	case r.total() == 0 && care.marks() && care.Review != nil && gone.Review == nil && r.Review != nil && !sameReview(r.Review, care.Review):
		return false
	}
	return r.approvedLike(gone)
}

// total is how many must agree, all stages together.
func (r *Rule) total() int {
	n := 0
	for _, stage := range r.Approval.stages() {
		for _, p := range stage {
			n += p.Need
		}
	}
	return n
}

// meets reports whether two rules may be about one target.
func (r *Rule) meets(o *Rule) bool {
	mine, others := r.What.words(), o.What.words()
	byID := func(word string) bool { return strings.HasPrefix(word, "arn:") }
	if !slices.ContainsFunc(mine, func(word string) bool { return slices.Contains(others, word) }) && !slices.ContainsFunc(mine, byID) && !slices.ContainsFunc(others, byID) {
		return false
	}
	for _, a := range r.Where.words() {
		for _, b := range o.Where.words() {
			if !a.apart(b) {
				return true
			}
		}
	}
	return false
}

// apart reports whether two parts of places share no account, as far as their words show: two accounts, or two paths neither
// of which lies below the other.
func (w *Where) apart(o *Where) bool {
	if len(w.Accounts) > 0 && len(o.Accounts) > 0 {
		return w.Accounts[0].Text != o.Accounts[0].Text
	}
	if len(w.OUs) == 0 || len(o.OUs) == 0 {
		return false
	}
	one, two := w.OUs[0].Text, o.OUs[0].Text
	byID := func(ou string) bool {
		return strings.Trim(ou, "/") == "" || strings.HasPrefix(ou, "ou-") || strings.HasPrefix(ou, "r-")
	}
	return !byID(one) && !byID(two) && !below(one, two) && !below(two, one)
}
