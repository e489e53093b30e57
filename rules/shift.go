package rules

import "sparekey/org"

// ShiftOf returns the people whom these e-mail addresses mean, in the order of the addresses and each once. An address means
// somebody only when exactly one enabled person has it: what two people share, or somebody has whose status AWS leaves out,
// makes nobody be on call.
func ShiftOf(emails []string, m *org.Mirror) []org.PersonID {
	wanted := make(map[string][]org.PersonID, len(emails))
	for _, e := range emails {
		if e = foldEmail(e); e != "" {
			wanted[e] = nil
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	for _, p := range m.Organization().People {
		e := foldEmail(p.Email)
		if who, ok := wanted[e]; ok && p.Status == org.StatusEnabled && len(who) < 2 {
			wanted[e] = append(who, p.ID)
		}
	}
	var shift []org.PersonID
	for _, e := range emails {
		e = foldEmail(e)
		if who := wanted[e]; len(who) == 1 {
			shift = append(shift, who[0])
		}
		delete(wanted, e)
	}
	return shift
}

// SameEmail reports whether two e-mail addresses are one. The case of the letters A to Z does not count, and of no others:
// Unicode folds the sign for kelvin to k, and an address with it may be another person's. Empty ones are nobody's.
func SameEmail(a, b string) bool { return a != "" && foldEmail(a) == foldEmail(b) }

func foldEmail(text string) string {
	folded := []byte(text)
	for i, c := range folded {
		if 'A' <= c && c <= 'Z' {
			folded[i] = c + 'a' - 'A'
		}
	}
	return string(folded)
}
