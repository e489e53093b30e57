// Package org describes an AWS organization, its people and its policies as plain values.
//
// An [Organization] is what was read at one moment; a [Mirror] is the same with the look-ups that decisions need. Both are
// values: nothing here asks AWS, and nothing here changes after it was made. Who may do what is for the rules; what is going
// on with access is for the access package.
package org
