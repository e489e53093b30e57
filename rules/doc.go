// Package rules says who may borrow what, where and when, and who must agree.
//
// A [Book] is the rules as people wrote them, in YAML files. [Book.In] binds it to a [org.Mirror]: the names become the ids
// of that moment, and the resulting [Set] judges. Judging is pure; nothing is asked, cached or recorded here.
//
// # The combining rule
//
// Deny wins. Allow rules are alternatives, and a request is judged under the matching rule that asks least: fewest approvals,
// then the longest duration, then the name. A rule under which nobody could approve stands behind one under which somebody
// can. So adding an allow rule never takes anything away, which the tests show for arbitrary books.
//
// # Names that find nothing
//
// A rule names groups, OUs and permission sets. When such a name finds nothing (renamed, deleted, ambiguous), the rule must
// not come to give more than was written: an allow rule matches less; an allow rule whose exception cannot be read gives
// nothing; a deny rule whose groups or OUs cannot be read denies as if they held everybody or everything. [Book.Check]
// reports each such name, and every decision that it decided says so.
package rules
