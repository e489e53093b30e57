package access

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// longestPolicy is how many characters a session policy may have ("AssumeRole", STS API Reference, Policy). AWS also packs it
// with the session's tags into a form of its own that has a limit, and refuses what is larger.
const longestPolicy = 2048

// policyVersion is the one version of the policy language that is taken: the older one reads variables as text.
const policyVersion = "2012-10-17"

// SessionPolicy returns the policy that every vended session carries: it allows everything, or what the statements of
// narrower allow, and denies everything after end. A session may do what both its role and this policy allow, so that a
// narrower policy can only take away, and AWS ends the session even if Sparekey is dead ("Session policies", IAM User Guide).
// The policy does not follow into a role that the session assumes.
//
// A narrower policy has Version 2012-10-17 and Statement, and its statements the elements that an identity-based policy may
// have, each once and spelt exactly. Whatever else it holds is an error of [ErrInvalid], as is a result of more than 2,048
// characters.
func SessionPolicy(end time.Time, narrower string) (string, error) {
	if end.IsZero() {
		return "", problem(ErrInvalid, "a session policy needs the grant's end")
	}
	statements := []string{`{"Effect":"Allow","Action":"*","Resource":"*"}`}
	if narrower != "" {
		var err error
		if statements, err = statementsOf(narrower); err != nil {
			return "", err
		}
	}
	over := fmt.Sprintf(`{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateGreaterThan":{"aws:CurrentTime":"%s"}}}`, end.UTC().Format("2006-01-02T15:04:05Z"))
	policy := `{"Version":"` + policyVersion + `","Statement":[` + strings.Join(append(statements, over), ",") + `]}`
	if n := utf8.RuneCountInString(policy); n > longestPolicy {
		return "", problem(ErrInvalid, "the session policy has %d characters with the grant's end, and AWS takes %d", n, longestPolicy).
			hint("shorten it by %d characters: use wildcards, or fewer statements", n-longestPolicy)
	}
	return policy, nil
}

func badPolicy(format string, args ...any) error {
	return problem(ErrInvalid, "the session policy is not right: "+format, args...).
		hint(`it looks like {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}`)
}

// statementsOf returns the statements of a policy, each compact, or says what is wrong with it.
func statementsOf(policy string) ([]string, error) {
	if len(policy) > 4*longestPolicy { // blanks are taken out
		return nil, badPolicy("it has %d bytes", len(policy))
	}
	if strings.ContainsFunc(policy, func(r rune) bool { return r > 0xff || r < ' ' && !strings.ContainsRune("\t\n\r", r) }) {
		return nil, badPolicy("AWS takes only characters of Latin-1 there")
	}
	d := jsontext.NewDecoder(strings.NewReader(policy)) // which refuses a name that is there twice: AWS might take the other
	value, err := d.ReadValue()
	if err != nil {
		return nil, badPolicy("it is not JSON, or has a name twice in one object")
	}
	value = value.Clone()
	if _, err := d.ReadToken(); err != io.EOF {
		return nil, badPolicy("something follows it")
	}
	top, ok := object(value)
	if !ok {
		return nil, badPolicy("it is not an object")
	}
	for name := range top {
		if name != "Version" && name != "Statement" {
			return nil, badPolicy("it has the element %q; a session policy has Version and Statement", clip(name))
		}
	}
	if string(top["Version"]) != `"`+policyVersion+`"` {
		return nil, badPolicy("its Version is not %q", policyVersion)
	}
	return checkStatements(top["Statement"])
}

func checkStatements(value jsontext.Value) ([]string, error) {
	all, ok := array(value)
	if !ok {
		all = []jsontext.Value{value}
	}
	if len(all) == 0 {
		return nil, badPolicy("it has no statement")
	}
	sids := map[string]bool{}
	texts := make([]string, len(all))
	for i, one := range all {
		if why := wrongStatement(one, sids); why != "" {
			return nil, badPolicy("statement %d %s", i+1, why)
		}
		var text bytes.Buffer
		if err := json.Compact(&text, one); err != nil {
			return nil, badPolicy("statement %d is not JSON", i+1)
		}
		texts[i] = text.String()
	}
	return texts, nil
}

// elements are those of a statement that an identity-based policy may have ("IAM JSON policy element reference"). Principals
// are not among them: the session is the principal.
var elements = []string{"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}

// wrongStatement says what is wrong with a statement, or nothing.
func wrongStatement(value jsontext.Value, sids map[string]bool) string {
	statement, ok := object(value)
	if !ok {
		return "is not an object"
	}
	for name := range statement {
		if !slices.Contains(elements, name) {
			return fmt.Sprintf("has the element %q; there are %s", clip(name), strings.Join(elements, ", "))
		}
	}
	if effect := string(statement["Effect"]); effect != `"Allow"` && effect != `"Deny"` {
		return `has an Effect that is neither "Allow" nor "Deny"`
	}
	for _, pair := range [][2]string{{"Action", "NotAction"}, {"Resource", "NotResource"}} {
		yes, no := statement[pair[0]], statement[pair[1]]
		if (yes == nil) == (no == nil) {
			return fmt.Sprintf("needs one of %s and %s", pair[0], pair[1])
		}
		if !words(append(yes, no...), "") {
			return fmt.Sprintf("has an %s or %s that is neither a text nor a list of texts", pair[0], pair[1])
		}
	}
	if sid, ok := statement["Sid"]; ok {
		if sid.Kind() != '"' || sids[string(sid)] {
			return "has a Sid that is no text, or another statement's"
		}
		sids[string(sid)] = true
	}
	if condition, ok := statement["Condition"]; ok && !conditions(condition) {
		return "has a Condition that is not of the form {operator: {key: value or list}}"
	}
	return ""
}

// conditions reports whether value has the form of a condition block.
func conditions(value jsontext.Value) bool {
	operators, ok := object(value)
	if !ok {
		return false
	}
	for operator, inner := range operators {
		keys, ok := object(inner)
		if !ok || operator == "" {
			return false
		}
		for key, wanted := range keys {
			if key == "" || !words(wanted, "tf0") {
				return false
			}
		}
	}
	return true
}

// words reports whether value is a text, or a list that is not empty of texts; kinds are other kinds of values that may stand
// for a text ("t" true, "f" false, "0" a number).
func words(value jsontext.Value, kinds string) bool {
	all, ok := array(value)
	if !ok {
		all = []jsontext.Value{value}
	}
	return len(all) > 0 && !slices.ContainsFunc(all, func(v jsontext.Value) bool {
		return string(v) == `""` && kinds == "" || !strings.ContainsRune(`"`+kinds, rune(v.Kind()))
	})
}

// object returns the members of an object. Values without blanks around them keep their text.
func object(value jsontext.Value) (map[string]jsontext.Value, bool) {
	var members map[string]jsontext.Value
	if value.Kind() != '{' || json.Unmarshal(value, &members) != nil {
		return nil, false
	}
	return members, true
}

func array(value jsontext.Value) ([]jsontext.Value, bool) {
	var items []jsontext.Value
	if value.Kind() != '[' || json.Unmarshal(value, &items) != nil {
		return nil, false
	}
	return items, true
}
