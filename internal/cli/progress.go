package cli

import (
	"fmt"
	"time"

	"sparekey/internal/api/client"
)

// progress tells the story of a request as it happens, each part once.
type progress struct {
	*app
	waits bool // somebody follows it as it goes on
	told  map[string]bool
}

// say tells a part of the story, unless it was told.
func (p *progress) say(about, word, format string, args ...any) {
	line := fmt.Sprintf("%-9s  %s%s", word, about, fmt.Sprintf(format, args...))
	if p.told == nil {
		p.told = map[string]bool{}
	}
	if !p.told[line] {
		p.told[line] = true
		fmt.Fprintln(p.out, line)
	}
}

func (p *progress) show(r client.Request) {
	if p.told == nil { // what was asked is told once, as it stood then
		for _, l := range r.Lines {
			p.say("", "asked", "%s  %s", r.Id, p.asked(r, l))
		}
	}
	for _, l := range r.Lines {
		about := ""
		if len(r.Lines) > 1 {
			about = fmt.Sprintf("%s %s: ", plain(l.Target.AccountName), plain(l.Target.PermissionSet))
		}
		p.decisions(about, r, l)
		if l.Grant != nil {
			p.grant(about, *l.Grant)
		}
	}
}

func (p *progress) asked(r client.Request, l client.Line) string {
	text := fmt.Sprintf("%s %s for %s   %s", plain(l.Target.AccountName), plain(l.Target.PermissionSet), minutes(r.Minutes), plain(l.Approvers))
	if l.State != client.LineStatePending {
		return text
	}
	if l.Nobody != nil {
		return text + "   nobody can approve this now: " + plain(*l.Nobody)
	}
	if l.Able == 1 {
		return text + "   (1 person can)"
	}
	return text + fmt.Sprintf("   (%d people can)", l.Able)
}

func (p *progress) decisions(about string, r client.Request, l client.Line) {
	for i, a := range l.Approvals {
		p.say(about, "approved", "by %s (%d of %d) %s%s", plain(a.By.User), i+1, l.Needed, clock(a.At, r.AskedAt), comment(a.Comment))
	}
	if l.Decided == nil || l.State == client.LineStateApproved {
		return
	}
	switch l.State {
	case client.LineStateRejected, client.LineStateWithdrawn:
		p.say(about, string(l.State), "by %s %s%s", plain(l.Decided.By), clock(l.Decided.At, r.AskedAt), comment(l.Decided.Comment))
	case client.LineStateLapsed:
		p.say(about, "lapsed", "%s%s", clock(l.Decided.At, r.AskedAt), comment(l.Decided.Comment))
	case client.LineStatePending, client.LineStateApproved:
	}
}

func comment(text *string) string {
	if text == nil || *text == "" {
		return ""
	}
	return fmt.Sprintf(": %q", plain(*text))
}

func (p *progress) grant(about string, g client.Grant) {
	if g.Failure != nil {
		p.say(about, "failed", "%s", plain(*g.Failure))
	}
	switch g.State {
	case client.GrantStateWaiting:
		if g.Trouble != nil {
			p.say(about, "waiting", "%s; trying again", plain(*g.Trouble))
		} else if !p.waits { // who follows it sees what comes next
			p.say(about, "AWS", "is asked next")
		}
	case client.GrantStateGranting:
		p.say(about, "AWS", "creating the assignment …")
		if g.Trouble != nil {
			p.say(about, "", "%s; trying again", plain(*g.Trouble))
		}
	case client.GrantStateStuck:
		p.say(about, "stuck", "AWS has not confirmed it for ten minutes; still trying")
	case client.GrantStateActive:
		if p.waits { // between two looks that may have passed
			p.say(about, "AWS", "creating the assignment …")
		}
		p.say(about, "AWS", "confirmed after %s", span(g.ActiveAt.Sub(g.ApprovedAt)))
		p.say(about, "live", "%s   %s", liveUntil(g), g.Id)
	case client.GrantStateFailed:
	case client.GrantStateEnding:
		if g.Failure == nil {
			p.say(about, "ending", "%s", endedBy(g))
		}
	case client.GrantStateEnded, client.GrantStateVerified:
		p.say(about, "ended", "%s", ended(g))
	}
}

// liveUntil says when access ends, and when the last session that it makes possible does.
func liveUntil(g client.Grant) string {
	if g.Standing {
		return "the access existed before and stays; the grant is over at " + clock(*g.EndsAt, *g.ActiveAt)
	}
	text := "until " + clock(*g.EndsAt, *g.ActiveAt)
	if g.LastMinute != nil {
		text += fmt.Sprintf(" (sessions may last until %s)", clock(*g.LastMinute, *g.ActiveAt))
	}
	return text
}

// ended says when and by whom it ended, and whether AWS was found to agree some minutes later.
func ended(g client.Grant) string {
	text := endedBy(g)
	if g.EndedAt != nil {
		text = clock(*g.EndedAt, g.ApprovedAt) + " " + text
	}
	if g.State == client.GrantStateVerified {
		text += " (verified)"
	}
	return text
}

func endedBy(g client.Grant) string {
	if g.EndedBy == nil {
		return ""
	}
	text := "by " + plain(*g.EndedBy)
	if g.EndReason != nil && *g.EndReason != "" {
		text += ": " + plain(*g.EndReason)
	}
	return text
}

// left is how much of a grant's time is left.
func left(g client.Grant, now time.Time) string {
	if g.EndsAt == nil || g.State != client.GrantStateActive {
		return ""
	}
	return span(g.EndsAt.Sub(now))
}
