package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sparekey/internal/sandbox/sigv4"
	"sparekey/internal/sandbox/wire"
	"sparekey/internal/sandbox/world"
	"sparekey/org"
)

// largest is how many bytes of a request are read. AWS's front end takes at least as much; larger requests do not exist here.
const largest = 1 << 20

// call is one call of an operation while it is served. The sandbox's lock is held whenever it is touched.
type call struct {
	s        *Sandbox
	w        *world.World
	op       *operation
	now      time.Time
	caller   caller
	document wire.Document
	unread   *wire.Error // why there is no document
	bearer   string      // of the access portal
	subject  Subject
	fate     world.Fate
	changed  bool
	entry    Call
}

// ServeHTTP answers a call of any of the services, a control call below /_sandbox/, and GET /. Where a fault says that the
// connection is closed, it panics with [http.ErrAbortHandler], as net/http wants it.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	id := s.source.UUID("request")
	s.mu.Unlock()
	s.setDate(w)
	w.Header().Set("x-amzn-RequestId", id)
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case strings.HasPrefix(r.URL.Path, controlPath):
		s.serveControl(w, r)
	case r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.URL.RawQuery == "" && r.Header.Get("Authorization") == "":
		serveAbout(w)
	default:
		s.serveCall(w, r, id)
	}
}

// setDate makes the answer's Date the sandbox's time, by which SDKs notice that their own clock is wrong.
func (s *Sandbox) setDate(w http.ResponseWriter) {
	w.Header().Set("Date", s.clock.Now().UTC().Format(http.TimeFormat))
}

func (s *Sandbox) serveCall(w http.ResponseWriter, r *http.Request, id string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largest))
	if err != nil && !errors.As(err, new(*http.MaxBytesError)) {
		return // the client has gone
	}
	c := &call{s: s, w: s.world, entry: Call{RequestID: id}}
	protocol, refused := s.route(c, r, body)
	if err != nil {
		refused = common(413, "RequestEntityTooLargeException", "The request entity is too large.")
	}
	var out any
	dropped := false
	if refused == nil {
		out, dropped, err = s.perform(c, r, body)
		if err != nil && !errors.As(err, &refused) {
			refused = c.op.service.broken()
			refused.Message += " The sandbox says: " + err.Error()
		}
	}
	s.note(c, refused, dropped)
	s.setDate(w) // time may have passed
	switch {
	case dropped:
		panic(http.ErrAbortHandler)
	case refused != nil:
		if c.op != nil && c.op.service.idInErrors && !refused.Common {
			refused = refused.With("RequestId", id)
		}
		err = protocol.Refuse(w, refused, id)
	default:
		err = protocol.Answer(w, out, id)
	}
	if err != nil {
		panic(http.ErrAbortHandler) // the client has gone
	}
}

// route finds the operation that a request is for, and its parameters.
func (s *Sandbox) route(c *call, r *http.Request, body []byte) (wire.Protocol, *wire.Error) {
	if r.URL.Path != "/" {
		return c.routePath(r, body)
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		prefix, name, _ := strings.Cut(target, ".")
		for _, service := range services {
			if service.target != "" && service.target == prefix {
				c.op = service.operation(name)
			}
		}
		if c.op == nil || r.Method != http.MethodPost {
			return wire.JSON, common(400, "UnknownOperationException", "The sandbox has no such operation.")
		}
		c.readJSON(body)
		return wire.JSON, nil
	}
	form := r.URL.Query()
	if r.Method == http.MethodPost {
		// What cannot be parsed is not there; the signature covers the text, not what is made of it.
		posted, _ := url.ParseQuery(string(body))
		maps.Copy(form, posted)
	}
	if c.op = stsService.operation(form.Get("Action")); c.op == nil || form.Get("Version") != stsVersion {
		return wire.Query, common(400, "InvalidAction", "Could not find operation "+form.Get("Action")+" for version "+form.Get("Version"))
	}
	c.document = wire.ParseQuery(form)
	return wire.Query, nil
}

// routePath finds an operation of a REST service.
func (c *call) routePath(r *http.Request, body []byte) (wire.Protocol, *wire.Error) {
	for _, service := range []*service{&oidcService, &portalService} {
		for i := range service.operations {
			if op := &service.operations[i]; op.path == r.URL.Path && op.method == r.Method {
				c.op = op
			}
		}
	}
	if c.op == nil {
		return wire.JSON, common(404, "UnknownOperationException", "The sandbox has no such operation.")
	}
	if c.op.service == &oidcService {
		c.readJSON(body)
	} else {
		c.document = wire.ParseValues(r.URL.Query())
		c.bearer = r.Header.Get("x-amz-sso_bearer_token")
	}
	return c.op.service.protocol, nil
}

// readJSON reads the parameters. That they cannot be read is said only to who may call.
func (c *call) readJSON(body []byte) {
	var err error
	if c.document, err = wire.ParseJSON(body); err != nil {
		c.unread = c.op.service.unreadable(err)
	}
}

// unreadable makes the service's error of a request that has no meaning.
func (s *service) unreadable(err error) *wire.Error {
	if s.target == "" {
		return s.invalid(wire.Violations{{Text: err.Error()}})
	}
	return common(400, "SerializationException", err.Error())
}

// decode fills the parameters of an operation.
func (c *call) decode(in any) error {
	broken, err := c.op.service.shapes.Decode(c.document, in)
	switch {
	case err != nil:
		return c.op.service.unreadable(err)
	case len(broken) > 0:
		return c.op.service.invalid(broken)
	}
	return nil
}

// perform checks who calls, and runs the operation with the fault that befalls it. An error that is no [*wire.Error] is a
// fault of the sandbox itself.
func (s *Sandbox) perform(c *call, r *http.Request, body []byte) (out any, dropped bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.now = s.settle()
	if err := s.admit(c, r, body); err != nil {
		return nil, false, err
	}
	fault := s.befalls(c)
	if fault == nil {
		out, err = c.op.run(c)
		return out, false, err
	}
	c.entry.Fault = fault.Kind
	fault.Used++
	switch fault.Kind {
	case Throttle:
		return nil, false, c.op.service.throttled()
	case Denied:
		return nil, false, c.deny("*")
	case Conflict:
		return nil, false, c.op.service.conflict()
	case ServerError:
		return nil, false, c.op.service.broken()
	case Drop:
		return nil, true, nil
	case Hang:
		if s.hang(c, r, fault) != nil {
			return nil, true, nil
		}
	case ServerErrorAfter, DropAfter, AsyncFailed, AsyncFailedAfter, Late, Slow: // they befall what the call does
	}
	c.fate = fault.fate()
	if out, err = c.op.run(c); err != nil { // refused for a reason of its own: the fault waits for another call
		fault.Used--
		c.entry.Fault = ""
		return nil, false, err
	}
	if fault.Kind == ServerErrorAfter {
		return nil, false, c.op.service.broken()
	}
	return out, fault.Kind == DropAfter, nil
}

// hang lets go of the lock until the fault's time has passed or the client has gone, which is the error.
func (s *Sandbox) hang(c *call, r *http.Request, fault *scripted) error {
	s.mu.Unlock()
	var err error
	if fault.Delay > 0 {
		err = sleep(r.Context(), s.clock, time.Duration(fault.Delay))
	} else {
		<-r.Context().Done()
		err = r.Context().Err()
	}
	s.mu.Lock()
	c.now = s.settle()
	return err
}

// admit checks the signature, whether the caller may, whether the request can be read, and the quota.
func (s *Sandbox) admit(c *call, r *http.Request, body []byte) error {
	if c.op.service.signing != "" {
		if err := s.authenticate(c, r, body); err != nil {
			var problem *sigv4.Problem
			if errors.As(err, &problem) {
				return c.op.service.refuseSignature(problem)
			}
			return err
		}
		if err := c.authorize(); err != nil {
			return err
		}
		if c.op.name != "GetCallerIdentity" && c.refusedBySCP() { // which nobody can be denied
			return c.deniedBySCP()
		}
	}
	if c.unread != nil {
		return c.unread
	}
	c.subject = c.readSubject()
	if c.op.service == &ssoAdminService && !s.bucket.take(c.now, s.options.Behaviour.CallsPerSecond) {
		return c.op.service.throttled()
	}
	return nil
}

// readSubject finds what the call is about among its parameters, whatever they are called there.
func (c *call) readSubject() Subject {
	text := func(names ...string) string {
		for _, name := range names {
			switch v := c.document[name].(type) {
			case string:
				return v
			case wire.Text:
				return string(v)
			}
		}
		return ""
	}
	if op, ok := c.w.Operation(text("AccountAssignmentCreationRequestId", "AccountAssignmentDeletionRequestId")); ok {
		return Subject{op.Assignment.Account, op.Assignment.PermissionSet, op.Assignment.Principal}
	}
	subject := Subject{
		Account:       org.AccountID(text("AccountId", "TargetId", "account_id")),
		PermissionSet: text("PermissionSetArn", "ResourceArn", "role_name"),
		Principal:     text("PrincipalId", "UserId", "GroupId"),
	}
	if arn, err := org.ParseARN(text("RoleArn")); err == nil {
		subject.Account = org.AccountID(arn.Account)
	}
	if id := text("ResourceId", "ChildId"); org.ValidAccountID(id) {
		subject.Account = org.AccountID(id)
	}
	if member, ok := c.document["MemberId"].(map[string]any); ok && subject.Principal == "" {
		subject.Principal, _ = member["UserId"].(string)
	}
	if token, ok := c.s.sessions.tokens[c.bearer]; ok && c.op.service == &portalService {
		subject.Principal = string(token.person)
	}
	return subject
}

// note writes the call into the log.
func (s *Sandbox) note(c *call, refused *wire.Error, dropped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := c.entry
	e.AccessKeyID = e.AccessKeyID[:min(len(e.AccessKeyID), 128)] // whatever somebody wrote there
	e.Time, e.Subject, e.Changed, e.Status = s.clock.Now(), c.subject, c.changed, http.StatusOK
	if c.op != nil {
		e.Service, e.Operation = c.op.service.name, c.op.name
	}
	if dropped {
		e.Status = 0
	} else if refused != nil {
		e.Status, e.Code = refused.Status, refused.Code
	}
	s.log.add(e)
}

// bucket lets a number of calls per second pass, and as many at once.
type bucket struct {
	at    time.Time
	spent float64
}

func (b *bucket) take(now time.Time, perSecond int) bool {
	if perSecond < 0 {
		return true
	}
	b.spent = max(0, b.spent-max(0, now.Sub(b.at).Seconds())*float64(perSecond))
	b.at = now
	if b.spent+1 > float64(perSecond) {
		return false
	}
	b.spent++
	return true
}

// page cuts a list that an operation answers. most is how many items a page has unless the caller wants another number.
func page[T any](c *call, items []T, key func(T) string, most, wanted int, token string) ([]T, string, error) {
	if wanted > 0 {
		most = wanted
	}
	list := c.list()
	if c.op.service.name == "organizations" && c.s.options.Behaviour.EmptyPages && token == "" {
		return []T{}, c.s.pages.Start(list), nil
	}
	part, next, err := wire.Page(c.s.pages, list, items, key, most, token)
	if err != nil {
		return nil, "", c.op.service.badToken()
	}
	return part, next, nil
}

// list names what the call lists: the operation, the caller's account or token, and every parameter but those of the page.
func (c *call) list() string {
	selected := maps.Clone(c.document)
	for _, name := range []string{"NextToken", "MaxResults", "next_token", "max_result"} {
		delete(selected, name)
	}
	var text bytes.Buffer
	_ = json.NewEncoder(&text).Encode([]any{c.op.service.name, c.op.name, c.caller.account, c.bearer, selected})
	return text.String()
}

// listing is the answer of a list operation.
func listing[T any](name string, items []T, next string) map[string]any {
	answer := map[string]any{name: items}
	if items == nil {
		answer[name] = []T{}
	}
	if next != "" {
		answer["NextToken"] = next
	}
	return answer
}
