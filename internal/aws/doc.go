// Package aws gives and takes away access in AWS.
//
// [Assignments] is the way by account assignments of IAM Identity Center, made for the person. [Memberships] is the way by
// groups that Sparekey made, which [Groups] makes and assigns; [Sessions] vends sessions of IAM roles, and probes whether AWS
// lets it. All ways have the same methods; [Split] gives the keys of the management account to a second way, or refuses them.
// [KillPolicy] reads and writes the one service control policy that holds session kills. [Directory] reads people, the
// organization and what is assigned in it; [Looking] makes clients that cannot change anything.
// Each method makes one call, pages and looks before and after it apart, and reports what AWS answered as one of the errors of
// package access; retrying, waiting and deciding is done elsewhere.
package aws
