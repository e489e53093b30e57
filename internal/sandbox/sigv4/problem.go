package sigv4

import "fmt"

// Kind says which of AWS's errors a bad signature is. Each protocol has its own code for it.
type Kind int

// The kinds, with their codes in the JSON and in the query protocols.
const (
	Missing    Kind = iota + 1 // MissingAuthenticationTokenException, MissingAuthenticationToken
	Incomplete                 // IncompleteSignatureException, IncompleteSignature
	UnknownKey                 // UnrecognizedClientException, InvalidClientTokenId
	Mismatch                   // InvalidSignatureException, SignatureDoesNotMatch
	Expired                    // ExpiredTokenException, ExpiredToken
)

// Problem is what is wrong with a request's signature.
type Problem struct {
	Kind    Kind
	Message string
}

func (p *Problem) Error() string { return p.Message }

func incomplete(format string, args ...any) *Problem {
	return &Problem{Incomplete, fmt.Sprintf(format, args...)}
}

func mismatch(format string, args ...any) *Problem {
	return &Problem{Mismatch, fmt.Sprintf(format, args...)}
}
