// Package aws gives and takes away access in AWS.
//
// [Assignments] is the way by account assignments of IAM Identity Center, made for the person. Other ways have the same
// methods. [Directory] reads people, the organization and what is assigned in it; [Looking] makes clients that cannot change anything. Each method makes one call, pages apart, and reports what AWS
// answered as one of the errors of package access; retrying, waiting and deciding is done elsewhere.
package aws
