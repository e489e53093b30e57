package strict

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	maxSize  = 1 << 20 // bytes of one document
	maxDepth = 64      // of brackets and dashes; the parser recurses once for each
)

// Word is a string that remembers where it stood, for checks that come after decoding.
type Word struct {
	Text string
	At   Position
}

// Decode reads one YAML document into the struct that into points to.
//
// Keys are the fields' `yaml:"…"` tags, also of embedded structs; a field tagged `yaml:"…,required"` must be there. Fields may be structs, pointers,
// slices, maps with string keys, strings, booleans, integers, [Word], or anything with UnmarshalText. A slice also takes a
// single value, as AWS's policies do. Whole numbers are taken as strings where a string is wanted, digit by digit, so that
// an unquoted account id keeps its leading zeros. The document may have 1 MiB.
//
// The error is [Errors] with every problem that was found; what into holds then is not to be used.
func Decode(file string, text []byte, into any) error {
	d := decoder{file: file}
	root := d.parse(text)
	if root != nil {
		d.value(root, reflect.ValueOf(into).Elem(), "the document")
	}
	return d.problems.Err()
}

type decoder struct {
	file     string
	problems Errors
}

func (d *decoder) at(n ast.Node) Position {
	t := n.GetToken()
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			t = n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		t = n.Key.GetToken()
	}
	return d.place(t)
}

func (d *decoder) place(t *token.Token) Position {
	if t == nil || t.Position == nil {
		return Position{File: d.file}
	}
	return Position{d.file, t.Position.Line, t.Position.Column}
}

func (d *decoder) wrong(at Position, format string, args ...any) *Error {
	e := at.Errorf(format, args...)
	d.problems = append(d.problems, e)
	return e
}

// parse returns the document's body, or nil after reporting why there is none.
func (d *decoder) parse(text []byte) ast.Node {
	whole := Position{File: d.file}
	if len(text) > maxSize {
		d.wrong(whole, "the file has %d bytes; at most %d are read", len(text), maxSize)
		return nil
	}
	if !utf8.Valid(text) {
		d.wrong(whole, "the file is not UTF-8 text")
		return nil
	}
	tokens := lexer.Tokenize(string(text))
	if !d.admit(tokens) {
		return nil
	}
	// Doubled keys are found below: the parser stops at the first.
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var at yaml.Error
		if errors.As(err, &at) {
			d.wrong(d.place(at.GetToken()), "%s", at.GetMessage())
		} else {
			d.wrong(whole, "%v", err)
		}
		return nil
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		d.wrong(whole, "the file is empty")
		return nil
	}
	if len(file.Docs) > 1 {
		d.wrong(d.place(file.Docs[1].Start), "a second document begins here; one file holds one document")
		return nil
	}
	return file.Docs[0].Body
}

// admit refuses the parts of YAML that make a text mean something else than it says, and nesting that no person writes.
func (d *decoder) admit(tokens token.Tokens) bool {
	depth, dashes, line := 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.AnchorType, token.AliasType:
			d.wrong(d.place(t), "anchors and aliases are not used here").WithHint("write the value out, or quote it if it begins with %q", t.Value)
		case token.TagType:
			d.wrong(d.place(t), "tags are not used here").WithHint("quote the value if it begins with !")
		case token.MergeKeyType:
			d.wrong(d.place(t), "merge keys are not used here").WithHint("write the keys out")
		case token.DirectiveType:
			d.wrong(d.place(t), "directives are not used here")
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType:
			if t.Position.Line != line {
				line, dashes = t.Position.Line, 0
			}
			dashes++
		}
		if depth > maxDepth || dashes > maxDepth {
			d.wrong(d.place(t), "nested more than %d deep", maxDepth)
			return false
		}
	}
	return len(d.problems) == 0
}

var (
	positionType = reflect.TypeFor[Position]()
	wordType     = reflect.TypeFor[Word]()
)

// value fills v from n. what names the value in messages, as in `"groups"`.
func (d *decoder) value(n ast.Node, v reflect.Value, what string) {
	if _, ok := n.(*ast.NullNode); ok {
		d.wrong(d.at(n), "%s has no value", what)
		return
	}
	if v.Type() == wordType {
		if text, ok := d.scalar(n, what); ok {
			v.Set(reflect.ValueOf(Word{text, d.at(n)}))
		}
		return
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if text, ok := d.scalar(n, what); ok {
			if err := u.UnmarshalText([]byte(text)); err != nil {
				d.wrong(d.at(n), "%s: %v", what, err)
			}
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), what)
	case reflect.Struct:
		d.mapping(n, v, what)
	case reflect.Map:
		d.table(n, v, what)
	case reflect.Slice:
		d.list(n, v, what)
	default:
		d.plain(n, v, what)
	}
}

func (d *decoder) plain(n ast.Node, v reflect.Value, what string) {
	text, ok := d.scalar(n, what)
	if !ok {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			d.wrong(d.at(n), "%s is %q", what, text).WithHint("write true or false")
			return
		}
		v.SetBool(text == "true")
	case reflect.Int, reflect.Int64:
		i, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			d.wrong(d.at(n), "%s is %q", what, text).WithHint("write a whole number")
			return
		}
		v.SetInt(i)
	default:
		panic("strict: cannot decode into " + v.Type().String())
	}
}

// scalar returns a single value as text. Booleans come as "true" and "false".
func (d *decoder) scalar(n ast.Node, what string) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode:
		return n.Token.Value, true
	case *ast.BoolNode:
		return strconv.FormatBool(n.Value), true
	case *ast.MappingNode, *ast.MappingValueNode:
		d.wrong(d.at(n), "%s has keys below it", what).WithHint("write a single value")
	case *ast.SequenceNode:
		d.wrong(d.at(n), "%s is a list", what).WithHint("write a single value")
	default:
		d.wrong(d.at(n), "%s is of a kind that is not used here", what).WithHint("quote the value")
	}
	return "", false
}

func (d *decoder) list(n ast.Node, v reflect.Value, what string) {
	items := []ast.Node{n}
	if s, ok := n.(*ast.SequenceNode); ok {
		items = s.Values
		if len(items) == 0 {
			d.wrong(d.at(n), "%s is an empty list", what).WithHint("give it a value, or remove the key")
		}
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		name := what
		if len(items) > 1 {
			name = fmt.Sprintf("number %d of %s", i+1, what)
		}
		d.value(item, v.Index(i), name)
	}
}

// pairs returns the keys and values of a mapping, once each.
func (d *decoder) pairs(n ast.Node, what string) ([]*ast.MappingValueNode, bool) {
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		d.wrong(d.at(n), "%s is a single value or a list", what).WithHint("write keys with values below it")
		return nil, false
	}
	seen := map[string]int{}
	var once []*ast.MappingValueNode
	for _, p := range pairs {
		key := p.Key.GetToken()
		if first, ok := seen[key.Value]; ok {
			d.wrong(d.place(key), "%q is here twice", key.Value).WithHint("the first is in line %d", first)
			continue
		}
		seen[key.Value] = key.Position.Line
		once = append(once, p)
	}
	return once, true
}

// under fills v with what stands under a key.
func (d *decoder) under(p *ast.MappingValueNode, v reflect.Value) {
	key := p.Key.GetToken()
	if _, ok := p.Value.(*ast.NullNode); ok {
		d.wrong(d.place(key), "%q has no value", key.Value).WithHint("give it one, or remove the key")
		return
	}
	d.value(p.Value, v, strconv.Quote(key.Value))
}

func (d *decoder) table(n ast.Node, v reflect.Value, what string) {
	pairs, ok := d.pairs(n, what)
	if !ok {
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(pairs)))
	for _, p := range pairs {
		key := p.Key.GetToken().Value
		item := reflect.New(v.Type().Elem()).Elem()
		d.under(p, item)
		v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), item)
	}
}

func (d *decoder) mapping(n ast.Node, v reflect.Value, what string) {
	pairs, ok := d.pairs(n, what)
	if !ok {
		return
	}
	fields, names := fieldsOf(v.Type())
	given := map[string]bool{}
	for _, p := range pairs {
		key := p.Key.GetToken()
		f, ok := fields[key.Value]
		if !ok {
			e := d.wrong(d.place(key), "unknown key %q in %s", key.Value, what)
			if near := Nearest(key.Value, names); near != "" {
				e.WithHint("did you mean %q?", near)
			} else {
				e.WithHint("known keys: %s", strings.Join(names, ", "))
			}
			continue
		}
		given[key.Value] = true
		d.under(p, v.FieldByIndex(f.index))
	}
	for _, name := range names {
		if fields[name].required && !given[name] {
			d.wrong(d.at(n), "%s lacks the key %q", what, name)
		}
	}
	d.mark(n, v)
}

// mark notes the place in a struct, and in those that are embedded in it.
func (d *decoder) mark(n ast.Node, v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Type().Field(i); {
		case f.Type == positionType:
			v.Field(i).Set(reflect.ValueOf(d.at(n)))
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			d.mark(n, v.Field(i))
		}
	}
}

type field struct {
	index    []int
	required bool
}

// fieldsOf returns the fields of a struct by their keys, and the keys in the struct's order. The keys of an embedded struct
// are the struct's own.
func fieldsOf(t reflect.Type) (map[string]field, []string) {
	fields, names := map[string]field{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		words := strings.Split(f.Tag.Get("yaml"), ",")
		if words[0] == "" || words[0] == "-" {
			continue
		}
		fields[words[0]] = field{f.Index, slices.Contains(words[1:], "required")}
		names = append(names, words[0])
	}
	return fields, names
}
