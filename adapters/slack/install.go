package slack

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	sdk "github.com/slack-go/slack"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/link"
)

// Below the channel's address: where somebody begins an installation, and where
// Slack sends their browser back to.
const (
	pathInstall   = "/install"
	pathInstalled = "/installed"
)

const (
	stateCookie = "gatehouse-slack-install"
	stateFor    = 10 * time.Minute
	teamPrefix  = "team/"
	renewBefore = time.Hour // of a token's end; Slack's last twelve
)

// record is what is kept of an installation, beside its tokens in the vault.
type record struct {
	Name string    `json:"name"`
	Ends time.Time `json:"ends,omitzero"` // of the token; zero: never
	Ref  string    `json:"ref"`
	Next string    `json:"next,omitempty"` // reference of the token that renews
}

// install sends a browser to Slack, with a state that only this gateway can
// have made, and that only this browser has.
func (c *Channel) install(w http.ResponseWriter, r *http.Request) int {
	if r.Method != http.MethodGet {
		return http.StatusMethodNotAllowed
	}
	nonce := rand.Text()
	state, ok := c.state(nonce, time.Now().Add(stateFor))
	if !ok {
		return http.StatusServiceUnavailable
	}
	c.remember(w, nonce, int(stateFor.Seconds()))
	to := strings.TrimSuffix(c.cfg.BaseURL, "/api") + "/oauth/v2/authorize?" + url.Values{
		"client_id": {c.cfg.ClientID}, "scope": {wanted()}, "redirect_uri": {c.redirect()}, "state": {state},
	}.Encode()
	http.Redirect(w, r, to, http.StatusFound)
	return http.StatusOK
}

// remember gives the browser its nonce, for some seconds, or takes it away. It
// comes back with a visit from Slack's page, and so must be lax.
func (c *Channel) remember(w http.ResponseWriter, nonce string, seconds int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // secure wherever the gateway is reached by https
		Name: stateCookie, Value: nonce, Path: "/", MaxAge: seconds, HttpOnly: true,
		Secure: strings.HasPrefix(c.host.Public(), "https://"), SameSite: http.SameSiteLaxMode,
	})
}

func (c *Channel) redirect() string { return c.host.Public() + pathInstalled }

// wanted are the scopes that the app asks for.
func wanted() string {
	return strings.Join(append(codec.Wanted(), "groups:read", "im:read", "im:write", "mpim:read"), ",")
}

// state binds a browser's nonce to an end, under a key of the channel's own.
func (c *Channel) state(nonce string, ends time.Time) (string, bool) {
	key := c.host.Derive("install").Reveal()
	if key == "" {
		return "", false
	}
	at := strconv.FormatInt(ends.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(at + "." + nonce))
	return at + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), true
}

// stands reports whether a state was made for this browser, not long ago.
func (c *Channel) stands(r *http.Request) bool {
	cookie, err := r.Cookie(stateCookie)
	if err != nil || cookie.Value == "" {
		return false
	}
	got := r.URL.Query().Get("state")
	at, _, _ := strings.Cut(got, ".")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || time.Now().After(time.Unix(seconds, 0)) {
		return false
	}
	want, ok := c.state(cookie.Value, time.Unix(seconds, 0))
	return ok && subtle.ConstantTimeCompare([]byte(want), []byte(got)) == 1
}

// back is where a browser comes back from Slack.
func (c *Channel) back(w http.ResponseWriter, r *http.Request, sink channels.Sink) int {
	if r.Method != http.MethodGet {
		return http.StatusMethodNotAllowed
	}
	if !c.stands(r) {
		return page(w, http.StatusForbidden, "This link is too old, or was not opened here. Begin again at "+c.host.Public()+pathInstall)
	}
	c.remember(w, "", -1)
	code := r.URL.Query().Get("code")
	if code == "" {
		return page(w, http.StatusOK, "The app was not installed.")
	}
	out, err := c.access(r.Context(), url.Values{"code": {code}, "redirect_uri": {c.redirect()}}, "")
	if err != nil {
		c.host.Log().WarnContext(r.Context(), "an installation failed", "err", err)
		return page(w, http.StatusBadGateway, "Slack did not confirm the installation. Begin again at "+c.host.Public()+pathInstall)
	}
	if !c.cfg.admits(out.Team.ID) {
		c.host.Log().WarnContext(r.Context(), "a team that is not in teams tried to install the app", "team", out.Team.ID)
		return page(w, http.StatusForbidden, "The team "+out.Team.ID+" may not use this app: whoever runs it has to add it to the channel's key teams.")
	}
	if err := c.admit(r.Context(), sink, out); err != nil {
		c.host.Log().ErrorContext(r.Context(), "an installation could not be kept", "err", err)
		return page(w, http.StatusServiceUnavailable, "The installation could not be kept. Try again in a minute at "+c.host.Public()+pathInstall)
	}
	return page(w, http.StatusOK, "Installed. Write to the app in Slack.")
}

func page(w http.ResponseWriter, status int, text string) int {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
	return http.StatusOK // it is answered
}

// access exchanges a code, or a token that renews, for tokens. The secrets are
// placeholders, in the query, where the gateway fills them in.
func (c *Channel) access(ctx context.Context, form url.Values, renew string) (sdk.OAuthV2Response, error) {
	const op = "oauth.v2.access"
	var out sdk.OAuthV2Response
	query := url.Values{"client_id": {c.cfg.ClientID}}
	for name, ref := range map[string]string{"client_secret": c.cfg.ClientSecret, "refresh_token": renew} {
		if ref == "" {
			continue
		}
		s, err := c.api.secret(ctx, ref)
		if err != nil {
			return out, c.api.fail(opToken, channels.Other, fmt.Errorf("%s cannot be read: %w", name, err))
		}
		query.Set(name, s.Reveal())
	}
	if _, err := c.api.ask(ctx, "", op+"?"+query.Encode(), form, &out); err != nil {
		return out, err
	}
	if out.Team.ID == "" || out.AccessToken == "" || out.TokenType != "bot" {
		return out, c.api.fail(op, channels.Rejected, errors.New("the answer holds no bot's token"))
	}
	return out, nil
}

// admit keeps an installation: first its tokens, then the record that names
// them, together with the event that tells of it.
func (c *Channel) admit(ctx context.Context, sink channels.Sink, out sdk.OAuthV2Response) error {
	c.renew.Lock()
	defer c.renew.Unlock()
	r, err := c.keep(ctx, out, "")
	if err != nil {
		return err
	}
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	t, err := c.test(ctx, r.Ref)
	if err != nil {
		return err
	}
	t.ends = r.Ends
	sum := sha256.Sum256([]byte(out.AccessToken))
	e := channels.Event{
		Key: "installed/" + t.Team + "/" + hex.EncodeToString(sum[:8]), At: time.Now().UTC(), Account: t.Account(),
		Where: channels.Address{Channel: c.host.ID(), Account: t.Account()},
		Who:   channels.Sender{ID: t.User, Handle: t.handle, Bot: true, Self: true}, Content: channels.Installed{Name: r.Name},
	}
	b := channels.Batch{Events: []channels.Event{e}, State: []channels.Write{{Key: teamPrefix + t.Team, Value: value}}}
	if _, err := channels.Offer(ctx, sink, b); err != nil {
		return err
	}
	c.teams.put(t)
	return nil
}

// keep puts tokens into the vault: the one that renews first, because Slack
// takes it once only.
func (c *Channel) keep(ctx context.Context, out sdk.OAuthV2Response, sent string) (record, error) {
	keys, ok := c.host.(channels.Keyring)
	if !ok {
		return record{}, errors.New("this gateway keeps no tokens of installations")
	}
	r := record{Name: out.Team.Name}
	name := strings.ToLower(out.Team.ID)
	var err error
	switch {
	case out.RefreshToken == "":
	case sent != "" && strings.Trim(out.RefreshToken, "*") == "":
		// The one that was sent counts on: a value that goes out is hidden where the
		// answer repeats it, and what hides it is no token.
		r.Next, r.Ends = sent, ends(out)
	default:
		if r.Next, err = keys.KeepSecret(ctx, name+".refresh", []byte(out.RefreshToken)); err != nil {
			return r, err
		}
		r.Ends = ends(out)
	}
	r.Ref, err = keys.KeepSecret(ctx, name+".token", []byte(out.AccessToken))
	return r, err
}

func ends(out sdk.OAuthV2Response) time.Time {
	return time.Now().Add(time.Duration(out.ExpiresIn) * time.Second).UTC()
}

// installed reads where the app is installed. The team that it returns stands
// for all of them.
func (c *Channel) installed(ctx context.Context) (*team, error) {
	rows, err := c.host.State().List(ctx, teamPrefix, "", 0)
	if err != nil {
		return nil, c.api.fail("teams", channels.Other, err)
	}
	n := 0
	for _, w := range rows {
		id := strings.TrimPrefix(w.Key, teamPrefix)
		if t, ok := c.teams.get(channels.AccountID(id)); ok && time.Until(t.ends) > renewBefore {
			n++
			continue
		}
		t, err := c.recall(ctx, id)
		switch kind := channels.KindOf(err); {
		case kind == channels.Unauthorized:
			c.host.Log().WarnContext(ctx, "a team's token is refused", "team", id, "fix", c.fixRenewal(), "err", err)
		case err != nil:
			return nil, err
		case t != nil:
			n++
		}
	}
	return &team{name: fmt.Sprintf("%d teams", n), Self: codec.Self{Channel: c.host.ID()}}, nil
}

// recall makes a team known that was installed before; nil when it was not.
func (c *Channel) recall(ctx context.Context, id string) (*team, error) {
	r, ok, err := c.record(ctx, id)
	if err != nil || !ok {
		return nil, err
	}
	if !r.Ends.IsZero() && time.Until(r.Ends) < renewBefore {
		if r, err = c.renewed(ctx, id); err != nil {
			return nil, err
		}
	}
	t, err := c.test(ctx, r.Ref)
	if err != nil {
		return nil, err
	}
	t.ends = r.Ends
	c.teams.put(t)
	return t, nil
}

func (c *Channel) record(ctx context.Context, id string) (r record, ok bool, err error) {
	v, err := c.host.State().Get(ctx, teamPrefix+id)
	if err != nil {
		return r, false, c.api.fail("teams", channels.Other, err)
	}
	return r, v != nil && json.Unmarshal(v, &r) == nil, nil
}

// renewFor bounds one renewal of a token.
const renewFor = 15 * time.Second

// renewed replaces a team's token, one at a time. What Slack gave is in the
// vault before it is used. Another gateway may have been first: then its token
// is taken. It goes on when ctx ends, for up to renewFor: Slack takes the token
// that renews once, so that an answer nobody waits for locks the gateway out. When
// the process dies before the answer is kept, the next start asks with the same
// token, which Slack goes on to take for a short while. After that the token that
// stands is used until it ends, and a person is told what to do.
func (c *Channel) renewed(ctx context.Context, id string) (record, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewFor)
	defer cancel()
	c.renew.Lock()
	defer c.renew.Unlock()
	r, ok, err := c.record(ctx, id)
	if err != nil || !ok || r.Next == "" || time.Until(r.Ends) > renewBefore {
		return r, err
	}
	out, err := c.access(ctx, url.Values{"grant_type": {"refresh_token"}}, r.Next)
	if err != nil {
		if now, ok, again := c.record(ctx, id); again == nil && ok && now.Ends.After(r.Ends) {
			return now, nil
		}
		if !time.Now().Before(r.Ends) {
			return r, err
		}
		if hopeless(err) { // what was kept is not what Slack gave last
			c.host.Log().WarnContext(ctx, "a team's token is not renewed any more", "team", id, "ends", r.Ends, "fix", c.fixRenewal(), "err", err)
		}
		return r, nil // it still stands until it ends
	}
	return c.renewal(ctx, id, out, r.Next)
}

// fixRenewal is what helps when Slack takes a refresh token no more.
func (c *Channel) fixRenewal() string {
	if c.cfg.RefreshToken != "" {
		return fixRefresh
	}
	return "Have somebody of the team install the app again, at " + c.host.Public() + pathInstall + "; nothing of its conversations is lost."
}

// renewal keeps what a renewal with the refresh token sent gave. The caller holds
// renew.
func (c *Channel) renewal(ctx context.Context, id string, out sdk.OAuthV2Response, sent string) (record, error) {
	r, err := c.keep(ctx, out, sent)
	if err != nil {
		return r, c.api.fail(opRenew, channels.Other, err)
	}
	value, err := json.Marshal(r)
	if err == nil {
		err = c.host.State().Put(ctx, channels.Write{Key: teamPrefix + id, Value: value})
	}
	if err != nil {
		return r, c.api.fail(opRenew, channels.Other, err)
	}
	return r, nil
}

// renewing renews tokens before they end, until ctx does.
func (c *Channel) renewing(ctx context.Context) {
	for link.Sleep(ctx, c.watch) == nil {
		for _, t := range c.teams.list() {
			if t.ends.IsZero() || time.Until(t.ends) > renewBefore {
				continue
			}
			if _, err := c.recall(ctx, t.Team); err != nil {
				c.host.Log().WarnContext(ctx, "a team's token is not renewed", "team", t.Team, "err", err)
			}
		}
	}
}

// forget drops a team that has removed the app, and its tokens.
func (c *Channel) forget(ctx context.Context, id string) {
	c.teams.drop(channels.AccountID(id))
	err := c.host.State().Put(ctx, channels.Write{Key: teamPrefix + id})
	if keys, ok := c.host.(channels.Keyring); ok {
		name := strings.ToLower(id)
		err = errors.Join(err, keys.DropSecret(ctx, name+".token"), keys.DropSecret(ctx, name+".refresh"))
	}
	c.host.Log().InfoContext(ctx, "a team has removed the app", "team", id, "err", err)
}
