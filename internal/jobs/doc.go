// Package jobs keeps the promises: the lane that starts and ends, and everything in the background.
//
// # The lane
//
// Starts and ends of access are read from the grants' own rows: no job stands between an end and its time, and none can be
// lost. One replica at a time holds the lane, by a lease; the others wait for it to end. The lane takes what is due, most
// urgent first, and gives each grant to [broker.Broker.Carry], within what AWS allows: so many operations outstanding, one
// operation per account, so many calls a second (quotas: "IAM Identity Center quotas").
//
//	rows: due ≤ now ──► admitted? ──► Carry ──► the row says when it is due again
//	          ▲                                        │
//	          └────────── woken by a change ◄──────────┘
//
// What a death leaves behind is in the rows. Whoever takes the lane next goes on from there.
//
// # The rest
//
// Everything else is River's: reading the organization, letting go of leavers, lapsing requests, tidying up.
package jobs
