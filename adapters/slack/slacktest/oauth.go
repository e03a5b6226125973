package slacktest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// grant is a code that can be exchanged for a token once.
type grant struct {
	team     string
	redirect string
}

// authorize is the page on which somebody agrees to an installation. The test
// calls Approve; a browser would get the same answer.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	to, err := s.approve(q, "T0MAIN000")
	if err != nil {
		http.Error(w, err.word, http.StatusBadRequest)
		return
	}
	http.Redirect(w, r, to, http.StatusFound)
}

// Approve agrees, for a team, to the installation that an authorize URL asks
// for, and returns where the browser is sent.
func (s *Server) Approve(authorize, team string) (string, bool) {
	u, err := url.Parse(authorize)
	if err != nil {
		return "", false
	}
	to, wrong := s.approve(u.Query(), team)
	return to, wrong == nil
}

func (s *Server) approve(q url.Values, team string) (string, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.Get("client_id") != s.opts.clientID || q.Get("scope") == "" || q.Get("redirect_uri") == "" {
		return "", fail("invalid_client_id")
	}
	code := strings.ToLower(s.idLocked("code"))
	s.codes[code] = &grant{team: team, redirect: q.Get("redirect_uri")}
	to := q.Get("redirect_uri")
	sep := "?"
	if strings.Contains(to, "?") {
		sep = "&"
	}
	return to + sep + url.Values{"code": {code}, "state": {q.Get("state")}}.Encode(), nil
}

// access exchanges a code, or a refresh token, for a token.
func (s *Server) access(q *request) (object, *failure) {
	if q.args["client_id"] != s.opts.clientID || q.args["client_secret"] != s.opts.client {
		return nil, fail("bad_client_secret")
	}
	if q.args["grant_type"] == "refresh_token" {
		return s.refreshed(q)
	}
	g := s.codes[q.args["code"]]
	switch {
	case g == nil:
		return nil, fail("invalid_code")
	case g.redirect != q.args["redirect_uri"]:
		return nil, fail("bad_redirect_uri")
	}
	delete(s.codes, q.args["code"])
	t := s.teamLocked(g.team, "Team "+g.team)
	t.revoked = false
	return s.granted(t, t.issueLocked()), nil
}

// refreshed replaces a token. The refresh token counts once, or until its grace
// ends; the token before stands for a while.
func (s *Server) refreshed(q *request) (object, *failure) {
	for _, t := range s.teams {
		used := q.args["refresh_token"]
		if used == "" || t.refresh != used && !slices.Contains(t.spent, used) {
			continue
		}
		if t.revoked {
			return nil, fail("token_revoked")
		}
		if s.opts.grace && t.refresh == used {
			t.spent = append(t.spent, used)
		}
		o := s.granted(t, t.issueLocked())
		if s.opts.lasting {
			t.refresh, o["refresh_token"] = used, strings.Repeat("*", len(used))
		}
		return o, nil
	}
	return nil, fail("invalid_refresh_token")
}

func (s *Server) granted(t *Team, token string) object {
	o := object{
		"access_token": token, "token_type": "bot", "scope": strings.Join(s.opts.scopes, ","), "bot_user_id": t.BotUser,
		"app_id": AppID, "team": object{"id": t.ID, "name": t.Name}, "enterprise": nil, "is_enterprise_install": false,
		"authed_user": object{"id": "U0INSTALL"},
	}
	if t.refresh != "" {
		o["refresh_token"], o["expires_in"] = t.refresh, max(1, int(time.Until(t.expiresAt).Seconds()))
	}
	return o
}
