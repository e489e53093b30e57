package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"sparekey/internal/api/client"
	"sparekey/internal/demo"
)

// remote is the server that commands speak to.
type remote struct{ *client.Client }

// remote finds the server and who to be: what the environment says, or else the demo that runs on this machine.
func (a *app) remote() (*remote, error) {
	address, token, err := a.whereAndWho()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usage("SPAREKEY_URL=https://sparekey.example.com", "%q is not the URL of a server", address)
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return nil, usage("use https", "the token would travel to %s in clear text", u.Host)
	}
	c, err := client.NewClient(strings.TrimRight(address, "/"),
		client.WithHTTPClient(&http.Client{
			Timeout:       2 * time.Minute,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a token goes to one server only
		}),
		client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		}))
	if err != nil {
		return nil, err
	}
	return &remote{c}, nil
}

func (a *app) whereAndWho() (address, token string, err error) {
	if address = os.Getenv("SPAREKEY_URL"); address != "" {
		if a.as != "" {
			return "", "", usage("unset SPAREKEY_URL to speak to the demo; a real server knows who you are by your token", "--as works in the demo only")
		}
		token, err = tokenFromEnvironment()
		return address, token, err
	}
	running, err := demo.Find()
	if errors.Is(err, demo.ErrNone) {
		return "", "", &failure{exitFailed, "no server is known", "set SPAREKEY_URL and SPAREKEY_TOKEN, or start `sparekey demo` in another terminal"}
	}
	if err != nil {
		return "", "", err
	}
	if a.as == "" {
		return "", "", usage("--as dana, for instance, or SPAREKEY_AS=dana; `sparekey demo` has printed who is who", "the demo does not know who you want to be")
	}
	token, err = running.As(a.as)
	if err != nil {
		return "", "", usage("", "%v", err)
	}
	return running.Address, token, nil
}

func tokenFromEnvironment() (string, error) {
	if token := os.Getenv("SPAREKEY_TOKEN"); token != "" {
		return token, nil
	}
	file := os.Getenv("SPAREKEY_TOKEN_FILE")
	if file == "" {
		return "", usage("whoever runs the server makes one with `sparekey token`", "SPAREKEY_URL is set, but neither SPAREKEY_TOKEN nor SPAREKEY_TOKEN_FILE")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// exits map HTTP statuses to exit codes.
var exits = map[int]int{
	http.StatusBadRequest: exitUsage, http.StatusUnprocessableEntity: exitUsage, http.StatusRequestEntityTooLarge: exitUsage,
	http.StatusUnauthorized: exitRefused, http.StatusForbidden: exitRefused, http.StatusNotFound: exitUnknown,
}

const maxAnswer = 64 << 20 // bytes of an answer that are read

// answer reads what the server said: the value, or the problem as an error with its exit code.
func answer[T any](r *http.Response, err error) (T, error) {
	var v T
	if err != nil {
		var away *net.OpError
		if errors.As(err, &away) {
			return v, &failure{exitFailed, "the server does not answer: " + away.Err.Error(), "is it running? `sparekey demo` starts one to play with"}
		}
		return v, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(io.LimitReader(r.Body, maxAnswer))
	if err != nil {
		return v, fmt.Errorf("reading the server's answer: %w", err)
	}
	if r.StatusCode == http.StatusOK {
		if err := json.Unmarshal(text, &v); err != nil {
			return v, fmt.Errorf("reading the server's answer: %w", err)
		}
		return v, nil
	}
	return v, problem(r.StatusCode, text)
}

func problem(status int, text []byte) error {
	code, ok := exits[status]
	if !ok {
		code = exitFailed
	}
	var p client.Problem
	if err := json.Unmarshal(text, &p); err != nil || p.Detail == "" {
		return &failure{code, fmt.Sprintf("the server answered %d %s", status, http.StatusText(status)), ""}
	}
	message := plainLines(p.Detail)
	if p.Errors != nil {
		for i, e := range *p.Errors {
			if i > 0 || e != p.Detail {
				message += "\n  " + plain(e)
			}
		}
	}
	hint := ""
	switch {
	case status == http.StatusUnauthorized:
		hint = "SPAREKEY_TOKEN, or the file that SPAREKEY_TOKEN_FILE names, must hold a token of this server; `sparekey token` makes one"
	case p.Hint != nil:
		hint = plain(*p.Hint)
	}
	return &failure{code, message, hint}
}

// plainLines makes several lines safe for a terminal.
func plainLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = plain(line)
	}
	return strings.Join(lines, "\n       ")
}
