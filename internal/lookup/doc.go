// Package lookup learns who is on call and what a ticket says.
//
// [Tickets] asks the ticket services of the configuration (Jira, ServiceNow, anything that answers a signed POST, a file)
// whether a ticket exists, is open, is assigned to the person and lies in its change window. [Rota] asks PagerDuty whose
// shift it is. Both only read. What an answer means for a request is decided in package rules; which people of the directory
// the addresses of a shift belong to, [rules.ShiftOf] says.
//
// # No, and down
//
// A service that says no is not a service that says nothing: a rule may let requests pass while a service is down. So nothing
// that a requester can choose or write, such as the name of a ticket, its title or its dates, makes a service "down" here;
// where that cannot be read, the answer is no. Down is what the wire and the operators answer for: no connection, no answer
// in time, a refused token, too many calls, an answer that is none.
//
// # At the wire
//
// https only, except on loopback; TLS 1.2 or newer; no proxy but the configured one; redirects are answers and not followed;
// an answer may have 1 MiB and must be JSON; a call has 5 seconds. Tokens are read from their files for each call, travel in
// headers only, and are in no message.
package lookup
