package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// colourful reports whether what is written to f is looked at on a terminal that shows colours.
func colourful(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func (a *app) json(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s\n", text)
	return err
}

// hues are the colours of states; each state is also a word, so that nothing depends on them.
var hues = map[string]string{
	"active": "32", "granting": "33", "waiting": "33", "pending": "33", "ending": "33", "approved": "32", "stuck": "31;1", "failed": "31", "rejected": "31",
	"ended": "2", "verified": "2", "lapsed": "2", "withdrawn": "2", "yes": "32", "no": "31",
}

// state colours a state's word.
func (a *app) state(word string) string {
	if hue, ok := hues[word]; ok && a.colour {
		return "\x1b[" + hue + "m" + word + "\x1b[0m"
	}
	return word
}

// table writes rows under heads, in columns. What comes from outside is made printable first.
func table(w io.Writer, heads []string, rows [][]string) {
	widths := make([]int, len(heads))
	all := append([][]string{heads}, rows...)
	for _, row := range all {
		for i, cell := range row {
			widths[i] = max(widths[i], width(cell))
		}
	}
	for _, row := range all {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-width(cell)+2))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// width counts the characters of a cell that are seen.
func width(cell string) int {
	seen, hidden := 0, false
	for _, c := range cell {
		switch {
		case c == '\x1b':
			hidden = true
		case hidden && c == 'm':
			hidden = false
		case !hidden:
			seen++
		}
	}
	return seen
}

// plain makes text of somebody else's safe for a terminal: neither does it act upon it, nor is it read in another order than
// it was written in.
func plain(text string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsGraphic(c) || c == utf8.RuneError {
			return '?'
		}
		return c
	}, text)
}

// clock writes a time of day in the reader's zone, with the date when it is another day than now.
func clock(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format("15:04 MST")
	}
	return t.Format("2006-01-02 15:04 MST")
}

// span writes a stretch of time as people do: 45 s, 14 min, 2 h 5 min.
func span(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < 0:
		return "0 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d%time.Hour < time.Minute:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

// minutes writes a number of minutes as people ask for it: 30m, 8h, 1h30m.
func minutes(n int64) string {
	switch {
	case n%60 == 0 && n > 0:
		return fmt.Sprintf("%dh", n/60)
	case n > 60:
		return fmt.Sprintf("%dh%dm", n/60, n%60)
	}
	return fmt.Sprintf("%dm", n)
}

// number writes how many there are of something.
func number(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
