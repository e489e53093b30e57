package metrics

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"sparekey/internal/awsconn"
)

const (
	rulesFile     = "../../deploy/prometheus/sparekey.rules.yaml"
	rulesTests    = "../../deploy/prometheus/sparekey.rules.test.yaml"
	dashboardFile = "../../deploy/grafana/sparekey.json"
	manual        = "../../docs/alerts.md"
)

// alertRules is a file of alert rules, as far as ours goes.
type alertRules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For string
			Labels           map[string]string
			Annotations      map[string]string
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// shown is every name under which something of ours, or of the process, is scraped.
func shown(t *testing.T) map[string]bool {
	t.Helper()
	families, err := full().registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
		if strings.HasSuffix(f.GetName(), "_seconds") && f.GetMetric()[0].GetHistogram() != nil {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				names[f.GetName()+part] = true
			}
		}
	}
	return names
}

var metric = regexp.MustCompile(`\b(sparekey|process|go)_[a-z_]+`)

// anchors are the places of a page that a link can lead to, as GitHub makes them.
func anchors(page string) map[string]bool {
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^##+ (.*)$`).FindAllStringSubmatch(page, -1) {
		plain := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		found[strings.ReplaceAll(plain, " ", "-")] = true
	}
	return found
}

func TestEveryAlertCanFireAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	var rules alertRules
	if err := yaml.UnmarshalWithOptions([]byte(read(t, rulesFile)), &rules, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	names, places, page := shown(t), anchors(read(t, manual)), read(t, manual)
	linked := map[string]bool{}
	for _, r := range rules.Groups[0].Rules {
		used := metric.FindAllString(r.Expr, -1)
		if len(used) == 0 || !strings.HasPrefix(r.Alert, "Sparekey") {
			t.Errorf("%s looks at %q", r.Alert, r.Expr)
		}
		for _, name := range used {
			if !names[name] {
				t.Errorf("%s looks at %s, which is never shown", r.Alert, name)
			}
		}
		if s := r.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s has the severity %q", r.Alert, s)
		}
		if !strings.Contains(page, "`"+r.Alert+"`") {
			t.Errorf("%s is not named in docs/alerts.md", r.Alert)
		}
		for _, a := range []string{"summary", "description", "runbook"} {
			if r.Annotations[a] == "" {
				t.Errorf("%s has no %s", r.Alert, a)
			}
		}
		file, anchor, _ := strings.Cut(r.Annotations["runbook"], "#")
		if linked[anchor] = true; file != "docs/alerts.md" || !places[anchor] {
			t.Errorf("%s sends people to %s, which is not there", r.Alert, r.Annotations["runbook"])
		}
	}
	for anchor := range places {
		if !linked[anchor] {
			t.Errorf("no alert sends anybody to #%s", anchor)
		}
	}
}

func TestTheLabelValuesThatAlertsNameAreOurs(t *testing.T) {
	t.Parallel()
	lines := strings.Join(scrape(t, full()), "\n")
	text := read(t, rulesFile) + strings.ReplaceAll(read(t, dashboardFile), `\"`, `"`)
	for _, m := range regexp.MustCompile(`(state|way|step|decision|event|kind)=(~?)"([^"$]+)"`).FindAllStringSubmatch(text, -1) {
		for _, value := range strings.Split(m[3], "|") {
			if !strings.Contains(lines, m[1]+`="`+value+`"`) {
				t.Errorf("no series has %s=%q", m[1], value)
			}
		}
	}
	for _, m := range regexp.MustCompile(`outcome!?=~?"([^"]+)"`).FindAllStringSubmatch(text, -1) {
		for _, value := range strings.Split(m[1], "|") {
			if !slices.Contains(outcomes(), value) {
				t.Errorf("no call has the outcome %q", value)
			}
		}
	}
}

// dashboard is Grafana's, as far as is looked at here.
type dashboard struct {
	UID    string
	Panels []struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr string }
	}
}

func TestTheDashboardShowsWhatThereIs(t *testing.T) {
	t.Parallel()
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &d); err != nil {
		t.Fatal(err)
	}
	names, ids, looked := shown(t), map[int]bool{}, map[string]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d %q is not right: %+v", p.ID, p.Title, p)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			for _, name := range metric.FindAllString(target.Expr, -1) {
				if looked[name] = true; !names[name] {
					t.Errorf("%q looks at %s, which is never shown", p.Title, name)
				}
			}
		}
	}
	for name := range names {
		base := strings.TrimSuffix(strings.TrimSuffix(name, "_sum"), "_count")
		if strings.HasPrefix(name, "sparekey_") && !looked[name] && !looked[base+"_bucket"] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// TestPromtoolTakesTheRules has Prometheus's own tool judge the rules, run their tests, and look at what is scraped.
func TestPromtoolTakesTheRules(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not on the PATH; it comes with Prometheus")
	}
	run := func(stdin string, args ...string) {
		t.Helper()
		c := exec.Command(promtool, args...)
		c.Dir, c.Stdin = filepath.Dir(rulesFile), strings.NewReader(stdin)
		if said, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, said)
		}
	}
	run("", "check", "rules", filepath.Base(rulesFile))
	run("", "test", "rules", filepath.Base(rulesTests))
	run(whole(t, full()), "check", "metrics")
}

func outcomes() (all []string) {
	for _, o := range awsconn.Outcomes {
		all = append(all, string(o))
	}
	return all
}
