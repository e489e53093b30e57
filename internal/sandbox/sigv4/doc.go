// Package sigv4 verifies Signature Version 4 as an AWS service does, and says in AWS's words what is wrong with a signature.
//
// It knows signatures in the Authorization header; a signature in the query string counts as none. The payload's hash is
// taken from the body that arrived; an X-Amz-Content-Sha256 that says something else is answered as a signature that does not
// match, since only S3 has an error of its own for it. Requests are for "/", as all of AWS's JSON and query protocols send them.
//
// Source: IAM User Guide, "AWS Signature Version 4 for API requests", with "Create a signed AWS API request" and
// "Troubleshoot Signature Version 4"; the messages are those that AWS is known to send.
package sigv4
