package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Document is a request's parameters by name, as they arrived: from a JSON body they are what encoding/json makes with
// numbers kept, from a query string or a form they are [Text].
type Document map[string]any

// Text is a value that arrived as text and may mean a number.
type Text string

// ParseJSON reads the body of a JSON request. An empty one is an empty document. The error is a [*SerializationError].
func ParseJSON(body []byte) (Document, error) {
	document := Document{}
	if len(bytes.TrimSpace(body)) == 0 {
		return document, nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&document); err != nil {
		return nil, &SerializationError{"Unable to parse the request body as a JSON object."}
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, &SerializationError{"Unexpected data after the JSON object of the request body."}
	}
	if document == nil {
		document = Document{}
	}
	return document, nil
}

// ParseValues reads a query string or a form. Of a name that is there twice the first value counts.
func ParseValues(values url.Values) Document {
	document := make(Document, len(values))
	for name, v := range values {
		if len(v) > 0 {
			document[name] = Text(v[0])
		}
	}
	return document
}

// ParseQuery reads a form of the query protocol, in which lists and structures are written by their paths: a list's items as
// Tags.member.1, a structure's members as Tags.member.1.Key. Names that are not of this form stay as they are. An item counts
// if all before it are there; what is deeper than a list of structures is not read.
func ParseQuery(values url.Values) Document {
	document := ParseValues(values)
	lists := map[string]map[int]any{}
	for _, path := range slices.Sorted(maps.Keys(document)) { // sorted, so that of two that cannot both be, the same one counts
		name, rest, ok := strings.Cut(path, ".member.")
		number, inner, structured := strings.Cut(rest, ".")
		at, err := strconv.Atoi(number)
		if !ok || err != nil {
			continue
		}
		if lists[name] == nil {
			lists[name] = map[int]any{}
		}
		items := lists[name]
		switch members, isStructure := items[at].(map[string]any); {
		case isStructure && structured:
			members[inner] = document[path]
		case items[at] != nil:
		case structured:
			items[at] = map[string]any{inner: document[path]}
		default:
			items[at] = document[path]
		}
	}
	for name, items := range lists {
		var list []any
		for i := 1; items[i] != nil; i++ {
			list = append(list, items[i])
		}
		if list != nil && document[name] == nil {
			document[name] = list
		}
	}
	return document
}

// SerializationError says that a request cannot be read at all, or that a member has the wrong type.
type SerializationError struct{ Message string }

func (e *SerializationError) Error() string { return e.Message }

// Decode fills the struct that into points to from a document. Fields say which shape they have:
//
//	InstanceArn string   `aws:"InstanceArn,required"`
//	GroupIDs    []string `aws:"GroupIds,required,each=ResourceId,name=GroupIds"`
//
// The member's name is the field's unless name= says otherwise; a shape "-" is not constrained. Fields are strings,
// integers, booleans, structs, pointers to structs, slices of these, or any. Names are matched to the letter; members that
// no field stands for are ignored, as AWS ignores them. The error is a [*SerializationError].
func (s Shapes) Decode(document Document, into any) (Violations, error) {
	d := decoder{shapes: s}
	d.structure(document, reflect.ValueOf(into).Elem(), "")
	return d.broken, d.err
}

type decoder struct {
	shapes Shapes
	broken Violations
	err    error
}

type member struct {
	name     string
	shape    *Shape
	each     *Shape
	required bool
}

func (d *decoder) member(f reflect.StructField) member {
	words := strings.Split(f.Tag.Get("aws"), ",")
	m := member{name: f.Name, shape: d.shape(words[0])}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "required":
			m.required = true
		case "name":
			m.name = value
		case "each":
			m.each = d.shape(value)
		default:
			panic("wire: the tag of " + f.Name + " says " + w)
		}
	}
	return m
}

var anything = &Shape{}

func (d *decoder) shape(name string) *Shape {
	if name == "-" {
		return anything
	}
	s, ok := d.shapes[name]
	if !ok {
		panic("wire: there is no shape " + name)
	}
	return s
}

func (d *decoder) structure(document map[string]any, v reflect.Value, path string) {
	for i := range v.NumField() {
		m := d.member(v.Type().Field(i))
		at := join(path, m.name)
		value := document[m.name]
		if value == nil {
			if m.required {
				d.violate(at, nil, Required, "Member must not be null")
			}
			continue
		}
		d.value(value, v.Field(i), m, at)
	}
}

// join appends a member to a path in AWS's way, with a small first letter.
func join(path, name string) string {
	name = strings.ToLower(name[:1]) + name[1:]
	if path == "" {
		return name
	}
	return path + "." + name
}

func (d *decoder) value(value any, v reflect.Value, m member, at string) {
	switch v.Kind() {
	case reflect.String:
		d.text(value, v, m, at)
	case reflect.Int:
		d.number(value, v, m, at)
	case reflect.Bool:
		b, ok := value.(bool)
		if !ok {
			d.wrongType(value, "a Boolean")
		}
		v.SetBool(b)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(value, v.Elem(), m, at)
	case reflect.Struct:
		object, ok := value.(map[string]any)
		if !ok {
			d.wrongType(value, "a structure")
			return
		}
		d.structure(object, v, at)
	case reflect.Slice:
		d.list(value, v, m, at)
	case reflect.Interface:
		v.Set(reflect.ValueOf(value))
	default:
		panic("wire: cannot decode into " + v.Type().String())
	}
}

func (d *decoder) text(value any, v reflect.Value, m member, at string) {
	var text string
	switch value := value.(type) {
	case string:
		text = value
	case Text:
		text = string(value)
	default:
		d.wrongType(value, "a String")
		return
	}
	if broken, must, ok := m.shape.checkString(text); !ok {
		d.violate(at, text, broken, must)
	}
	v.SetString(text)
}

func (d *decoder) number(value any, v reflect.Value, m member, at string) {
	var n int64
	var err error
	switch value := value.(type) {
	case json.Number:
		n, err = strconv.ParseInt(value.String(), 10, 32)
	case Text:
		n, err = strconv.ParseInt(string(value), 10, 32)
	default:
		d.wrongType(value, "an Integer")
		return
	}
	if err != nil {
		d.wrongType(value, "an Integer")
		return
	}
	if broken, must, ok := m.shape.checkNumber(int(n)); !ok {
		d.violate(at, n, broken, must)
	}
	v.SetInt(n)
}

func (d *decoder) list(value any, v reflect.Value, m member, at string) {
	items, ok := value.([]any)
	if !ok {
		d.wrongType(value, "a list")
		return
	}
	if broken, must, ok := m.shape.checkLength(len(items)); !ok {
		d.violate(at, items, broken, must)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	each := member{shape: m.each}
	if each.shape == nil {
		each.shape = anything
	}
	for i, item := range items {
		path := fmt.Sprintf("%s.%d.member", at, i+1)
		if item == nil {
			d.violate(path, nil, Required, "Member must not be null")
			continue
		}
		d.value(item, v.Index(i), each, path)
	}
}

func (d *decoder) violate(at string, value any, broken Constraint, must string) {
	shown := "null"
	if value != nil {
		shown = fmt.Sprintf("'%s'", clip(fmt.Sprint(value)))
	}
	d.broken = append(d.broken, Violation{at, broken, fmt.Sprintf("Value %s at '%s' failed to satisfy constraint: %s", shown, at, must)})
}

func (d *decoder) wrongType(value any, wanted string) {
	if d.err != nil {
		return
	}
	got := "STRING_VALUE"
	switch value := value.(type) {
	case json.Number:
		got = "NUMBER_VALUE"
	case bool:
		got = strings.ToUpper(strconv.FormatBool(value)) + "_VALUE"
	case map[string]any:
		got = "START_OBJECT"
	case []any:
		got = "START_ARRAY"
	}
	d.err = &SerializationError{got + " can not be converted to " + wanted}
}

func clip(text string) string {
	if len(text) > 200 {
		return strings.ToValidUTF8(text[:200], "") + "..."
	}
	return text
}
