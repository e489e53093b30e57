package sandbox

import (
	"encoding/xml"

	"sparekey/internal/sandbox/wire"
	"sparekey/org"
)

const (
	stsVersion   = "2011-06-15"
	stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"
)

// stsService is the Security Token Service. GetCallerIdentity needs no permission, and whom AssumeRole lets in is said by the
// role that is assumed.
var stsService = service{
	name: "sts", signing: "sts", protocol: wire.Query, shapes: stsShapes,
	invalid:   func(v wire.Violations) *wire.Error { return common(400, "ValidationError", v.String()) },
	badToken:  func() *wire.Error { return common(400, "ValidationError", "The pagination token is not valid.") },
	throttled: func() *wire.Error { return common(400, "Throttling", "Rate exceeded") },
	broken:    func() *wire.Error { return common(500, "InternalFailure", "An internal error occurred.") },
	denied:    func(why string) *wire.Error { return common(403, "AccessDenied", why) },
	operations: []operation{
		{name: "GetCallerIdentity", may: anybody, run: handle((*call).getCallerIdentity)},
		{name: "AssumeRole", may: anybody, run: handle((*call).assumeRole)},
	},
}

type callerIdentity struct {
	XMLName xml.Name      `xml:"GetCallerIdentityResult"`
	Arn     string        `xml:"Arn"`
	UserID  string        `xml:"UserId"`
	Account org.AccountID `xml:"Account"`
}

func (c *call) getCallerIdentity(*struct{}) (any, error) {
	return wire.QueryResult{Namespace: stsNamespace, Operation: c.op.name, Result: callerIdentity{
		Arn: c.caller.arn, UserID: c.caller.user, Account: c.caller.account,
	}}, nil
}
