package sandbox

import (
	"sparekey/internal/sandbox/wire"
)

// service is one of AWS's services.
type service struct {
	name       string // as botocore names it
	target     string // prefix of X-Amz-Target, of the JSON protocol
	signing    string // the service's name in a credential scope, and before the colon in a policy; "" takes unsigned calls
	regional   bool   // the credential scope must name Identity Center's Region
	protocol   wire.Protocol
	shapes     wire.Shapes
	operations []operation
	idInErrors bool // errors have a member RequestId

	// How the service says what every service has to say. Nil: it has no such error.
	invalid   func(wire.Violations) *wire.Error
	badToken  func() *wire.Error
	throttled func() *wire.Error
	broken    func() *wire.Error
	conflict  func() *wire.Error
	denied    func(why string) *wire.Error
}

// permission says whose credentials an operation takes.
type permission int

const (
	anybody    permission = iota
	members               // the organization's accounts
	delegated             // the delegated administrator and the management account
	management            // the management account alone
)

// operation is one operation of a service. The fields of its parameters and answers are named as the model names them.
type operation struct {
	service      *service
	name         string
	may          permission
	async        bool // accepts an operation on an assignment
	method, path string
	run          func(*call) (any, error)
}

// handle makes an operation's function of one that takes its parameters as a struct; see [wire.Shapes.Decode].
func handle[In any](f func(*call, *In) (any, error)) func(*call) (any, error) {
	return func(c *call) (any, error) {
		in := new(In)
		if err := c.decode(in); err != nil {
			return nil, err
		}
		return f(c, in)
	}
}

// services are what the sandbox imitates. Operations know their service, hence the function.
var services = link(&ssoAdminService, &identityStoreService, &organizationsService, &stsService, &oidcService, &portalService)

func link(all ...*service) []*service {
	for _, s := range all {
		for i := range s.operations {
			s.operations[i].service = s
		}
	}
	return all
}

func (s *service) operation(name string) *operation {
	for i := range s.operations {
		if s.operations[i].name == name {
			return &s.operations[i]
		}
	}
	return nil
}

// refusal returns a function that makes an error of a service's model.
func refusal(status int, code, message string) func() *wire.Error {
	return func() *wire.Error { return &wire.Error{Status: status, Code: code, Message: message} }
}

// modelled makes an error of the model of a JSON service; all of them are HTTP 400.
func modelled(code, message string) *wire.Error {
	return &wire.Error{Status: 400, Code: code, Message: message}
}

// common makes an error of AWS's front end.
func common(status int, code, message string) *wire.Error {
	return &wire.Error{Status: status, Code: code, Message: message, Common: true}
}
