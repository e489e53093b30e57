package wire

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// Error is an answer that refuses.
type Error struct {
	Status  int
	Code    string
	Message string
	Common  bool           // of AWS's front end rather than of the service's model
	Members map[string]any // of the error's shape, beside the message
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// With returns the error with one more member.
func (e *Error) With(name string, value any) *Error {
	more := *e
	more.Members = map[string]any{name: value}
	maps.Copy(more.Members, e.Members)
	return &more
}

// Timestamp is a time as AWS's JSON protocols write it: seconds since 1970, with milliseconds.
type Timestamp time.Time

// MarshalJSON implements [json.Marshaler].
func (t Timestamp) MarshalJSON() ([]byte, error) {
	return []byte(strconv.FormatFloat(float64(time.Time(t).UnixMilli())/1000, 'f', -1, 64)), nil
}

// Protocol is how a service's answers look.
type Protocol struct {
	contentType string
	typeHeader  bool // the error's code stands in x-amzn-ErrorType
	answer      func(out any, requestID string) ([]byte, error)
	refuse      func(e *Error, requestID string) ([]byte, error)
}

// The protocols. Portal and OIDC are both AWS's REST JSON, but write errors differently.
var (
	JSON   = Protocol{"application/x-amz-json-1.1", false, plainJSON, refuseJSON}
	Portal = Protocol{"application/json", true, plainJSON, refusePortal}
	OIDC   = Protocol{"application/json", true, plainJSON, refuseOIDC}
	Query  = Protocol{"text/xml", false, answerQuery, refuseQuery}
)

// Answer writes the answer of an operation; an out of nil has no body.
func (p Protocol) Answer(w http.ResponseWriter, out any, requestID string) error {
	var body []byte
	if out != nil {
		var err error
		if body, err = p.answer(out, requestID); err != nil {
			return fmt.Errorf("writing the answer: %w", err)
		}
	}
	return p.send(w, http.StatusOK, body)
}

// Refuse writes an error.
func (p Protocol) Refuse(w http.ResponseWriter, e *Error, requestID string) error {
	body, err := p.refuse(e, requestID)
	if err != nil {
		return fmt.Errorf("writing the error: %w", err)
	}
	if p.typeHeader {
		w.Header().Set("x-amzn-ErrorType", e.Code)
	}
	return p.send(w, e.Status, body)
}

func (p Protocol) send(w http.ResponseWriter, status int, body []byte) error {
	w.Header().Set("Content-Type", p.contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

func plainJSON(out any, _ string) ([]byte, error) { return json.Marshal(out) }

func refuseJSON(e *Error, _ string) ([]byte, error) {
	body := map[string]any{"__type": e.Code}
	for name, value := range e.Members {
		body[name] = value
	}
	if e.Common {
		body["message"] = e.Message
	} else {
		body["Message"] = e.Message
	}
	return json.Marshal(body)
}

func refusePortal(e *Error, _ string) ([]byte, error) {
	return json.Marshal(map[string]any{"__type": "com.amazonaws.switchboard.portal#" + e.Code, "message": e.Message})
}

// refuseOIDC writes an error of RFC 6749, section 5.2; its short code is a member of the shape.
func refuseOIDC(e *Error, id string) ([]byte, error) {
	if e.Common {
		return refuseJSON(e, id)
	}
	body := map[string]any{"error_description": e.Message}
	for name, value := range e.Members {
		body[name] = value
	}
	return json.Marshal(body)
}

// The answers of the query protocol are XML; there is one operation's result in each.
type queryAnswer struct {
	XMLName  xml.Name
	Result   any
	Metadata struct {
		RequestID string `xml:"RequestId"`
	} `xml:"ResponseMetadata"`
}

// QueryResult is what an operation of the query protocol answers.
type QueryResult struct {
	Namespace string
	Operation string
	Result    any // a struct whose XMLName is the operation's name with "Result"
}

func answerQuery(out any, requestID string) ([]byte, error) {
	r := out.(QueryResult)
	a := queryAnswer{XMLName: xml.Name{Space: r.Namespace, Local: r.Operation + "Response"}, Result: r.Result}
	a.Metadata.RequestID = requestID
	return xml.Marshal(a)
}

func refuseQuery(e *Error, requestID string) ([]byte, error) {
	kind := "Sender"
	if e.Status >= 500 {
		kind = "Receiver"
	}
	type inner struct{ Type, Code, Message string }
	return xml.Marshal(struct {
		XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
		Error     inner
		RequestID string `xml:"RequestId"`
	}{Error: inner{kind, e.Code, e.Message}, RequestID: requestID})
}
