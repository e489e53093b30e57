package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
)

// ErrToken says that a pagination token was not given out for this list.
var ErrToken = errors.New("the pagination token is not valid")

// Pages gives out pagination tokens and knows its own again.
type Pages struct{ Key []byte }

// Page returns the part of a list that a token asks for, at most limit items, and the token of the next part, which is empty
// at the end. An empty token asks for the first part. List names the list and everything that selects its items, so that a
// token serves no other. Items go by their keys, which must differ: what is added or removed between two pages neither
// repeats nor hides another item.
func Page[T any](p Pages, list string, items []T, key func(T) string, limit int, token string) (part []T, next string, err error) {
	after, err := p.open(list, token)
	if err != nil {
		return nil, "", err
	}
	items = slices.Clone(items)
	slices.SortFunc(items, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	start, _ := slices.BinarySearchFunc(items, after, func(item T, after string) int {
		if key(item) <= after {
			return -1
		}
		return 1
	})
	part = items[start:]
	if len(part) > limit {
		part = part[:limit]
		next = p.seal(list, key(part[limit-1]))
	}
	return part, next, nil
}

// Start returns a token that asks for the first part of a list, for an answer that has no items yet.
func (p Pages) Start(list string) string { return p.seal(list, "") }

const macSize = 16

var encoding = base64.RawURLEncoding.Strict()

func (p Pages) mac(list, after string) []byte {
	m := hmac.New(sha256.New, p.Key)
	m.Write([]byte(list + "\x00" + after))
	return m.Sum(nil)[:macSize]
}

func (p Pages) seal(list, after string) string {
	return encoding.EncodeToString(append(p.mac(list, after), after...))
}

func (p Pages) open(list, token string) (after string, err error) {
	if token == "" {
		return "", nil
	}
	data, err := encoding.DecodeString(token)
	if err != nil || len(data) < macSize {
		return "", ErrToken
	}
	after = string(data[macSize:])
	if !hmac.Equal(data[:macSize], p.mac(list, after)) {
		return "", ErrToken
	}
	return after, nil
}
