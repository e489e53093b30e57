package sigv4

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

const algorithm = "AWS4-HMAC-SHA256"

// Scope is the credential scope of a signature, with the access key that it belongs to.
type Scope struct {
	AccessKeyID, Date, Region, Service, Terminator string
}

func (s Scope) String() string {
	return strings.Join([]string{s.Date, s.Region, s.Service, s.Terminator}, "/")
}

// Authorization is what an Authorization header says.
type Authorization struct {
	Scope
	SignedHeaders []string // in lower case, in the order given
	Signature     []byte
}

// ParseAuthorization reads an Authorization header. The error is a [*Problem] of the kind Incomplete.
func ParseAuthorization(header string) (Authorization, error) {
	var a Authorization
	name, rest, _ := strings.Cut(header, " ")
	if name != algorithm {
		return a, incomplete("Unsupported AWS 'algorithm': '%s'.", clip(name))
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || value == "" {
			return a, incomplete("'%s' not a valid key=value pair (missing equal-sign) in Authorization header: '%s'.", clip(part), clip(header))
		}
		if _, twice := fields[key]; twice || !slices.Contains([]string{"Credential", "SignedHeaders", "Signature"}, key) {
			return a, incomplete("'%s' is not expected (again) in Authorization header: '%s'.", clip(key), clip(header))
		}
		fields[key] = value
	}
	var missing []string
	for _, key := range []string{"Credential", "Signature", "SignedHeaders"} {
		if fields[key] == "" {
			missing = append(missing, fmt.Sprintf("Authorization header requires '%s' parameter.", key))
		}
	}
	if missing != nil {
		return a, incomplete("%s Authorization=%s", strings.Join(missing, " "), clip(header))
	}
	return a, a.fill(fields)
}

func (a *Authorization) fill(fields map[string]string) error {
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || slices.Contains(scope, "") {
		return incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", clip(fields["Credential"]))
	}
	a.Scope = Scope{scope[0], scope[1], scope[2], scope[3], scope[4]}
	a.SignedHeaders = strings.Split(fields["SignedHeaders"], ";")
	for i, h := range a.SignedHeaders {
		if h == "" || h != strings.ToLower(h) || slices.Contains(a.SignedHeaders[:i], h) {
			return incomplete("'SignedHeaders' must name each header once, in lower case, got '%s'", clip(fields["SignedHeaders"]))
		}
	}
	var err error
	if a.Signature, err = hex.DecodeString(fields["Signature"]); err != nil || len(a.Signature) != 32 {
		return incomplete("'Signature' must be 64 hexadecimal digits, got '%s'", clip(fields["Signature"]))
	}
	return nil
}

func clip(text string) string {
	if len(text) > 200 {
		return text[:200] + "..."
	}
	return text
}
