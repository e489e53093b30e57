package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"
)

// What the schema refuses is said in our words: where, and what is taken there, and never what was sent: it may be long, or
// a secret in the wrong place.

func init() {
	huma.DefaultArrayNullable = false
	huma.ValidateStrictCasing = true // or "Minutes" beside "minutes" would pass for one key
	huma.NewError = inOurWords
	validation.MsgUnexpectedProperty = "there is no such member"
	validation.MsgExpectedRequiredProperty = "%s is missing"
	validation.MsgExpectedObject = "an object is expected"
	validation.MsgExpectedArray = "a list is expected"
	validation.MsgExpectedString = "text is expected"
	validation.MsgExpectedInteger = "a whole number is expected"
	validation.MsgExpectedNumber = "a number is expected"
	validation.MsgExpectedBoolean = "true or false is expected"
	validation.MsgExpectedMinimumNumber = "at least %v is taken"
	validation.MsgExpectedMaximumNumber = "at most %v is taken"
	validation.MsgExpectedMinLength = "at least %d characters are needed"
	validation.MsgExpectedMaxLength = "at most %d characters are taken"
	validation.MsgExpectedMinItems = "at least %d are needed"
	validation.MsgExpectedMaxItems = "at most %d are taken"
	validation.MsgExpectedMatchPattern = "it does not have the form %s"
}

// inOurWords is a problem of what huma refuses, before any of our code is reached.
func inOurWords(status int, message string, errs ...error) huma.StatusError {
	p := &Problem{Status: status, Title: http.StatusText(status), Detail: message}
	for _, err := range errs {
		if err != nil {
			p.Errors = append(p.Errors, clip(wordsOf(err)))
		}
	}
	if len(p.Errors) > 0 {
		p.Detail = p.Errors[0]
	}
	if status >= 400 && status < 500 {
		p.Hint = "/openapi.json says what is taken"
	}
	return p
}

// parsing are huma's words for parameters that do not parse.
var parsing = map[string]string{
	"invalid integer": "a whole number is expected", "invalid boolean": "true or false is expected", "unknown query parameter": "there is no such parameter",
}

func wordsOf(err error) string {
	var detail *huma.ErrorDetail
	if !errors.As(err, &detail) {
		return err.Error()
	}
	message := detail.Message
	if ours, ok := parsing[message]; ok {
		message = ours
	}
	for _, in := range []string{"body.", "query.", "header.", "path."} {
		if where, ok := strings.CutPrefix(detail.Location, in); ok {
			return where + ": " + message
		}
	}
	if detail.Location == "" || detail.Location == "body" {
		return "the body: " + message
	}
	return detail.Location + ": " + message
}
