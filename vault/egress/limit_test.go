package egress_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// clock is a time that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

func terms(t egress.Terms) func(string) egress.Terms { return func(string) egress.Terms { return t } }

// limited makes a gate with limits, on a network that leads nowhere.
func limited(c *clock, l egress.Limits) *egress.Gate {
	fake := &internet{names: map[string][]string{"api.example.com": {publicAddress}}}
	return egress.New(egress.Options{Dialer: fake.dialer, Now: c.Now, Terms: terms(egress.Terms{Limits: l})})
}

// ask makes a request and returns the limit that it was refused for, if it was.
func ask(t testing.TB, client *http.Client) *egress.Limited {
	t.Helper()
	_, err := get(t, client, "https://api.example.com/")
	var l *egress.Limited
	switch {
	case errors.As(err, &l) && errors.Is(err, egress.ErrDenied):
		return l
	case !errors.Is(err, errNowhere):
		t.Fatalf("got %v", err)
	}
	return nil
}

func TestInvariant05RequestsAreLimited(t *testing.T) {
	at := time.Date(2030, 5, 6, 23, 58, 30, 0, time.UTC)
	tests := []struct {
		name    string
		limits  egress.Limits
		after   time.Duration
		reopens time.Duration
	}{
		{"in a minute", egress.Limits{RequestsPerMinute: 3}, 30 * time.Second, 30 * time.Second},
		{"in a day", egress.Limits{RequestsPerDay: 3}, 90 * time.Second, 90 * time.Second},
		{"the longer wait counts", egress.Limits{RequestsPerMinute: 3, RequestsPerDay: 3}, 90 * time.Second, 90 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &clock{now: at}
			client := limited(c, tt.limits).Client(egress.Policy{Name: "test", Allow: allow(t, "https://api.example.com")})
			for i := range 3 {
				if l := ask(t, client); l != nil {
					t.Fatalf("request %d: %v", i, l)
				}
			}
			l := ask(t, client)
			if l == nil || l.After != tt.after {
				t.Fatalf("got %+v, want it to say %s", l, tt.after)
			}
			c.set(at.Add(tt.reopens - time.Nanosecond))
			if ask(t, client) == nil {
				t.Error("it passes too early")
			}
			c.set(at.Add(tt.reopens))
			if l := ask(t, client); l != nil {
				t.Errorf("it does not reopen: %v", l)
			}
		})
	}
}

func TestLimitsAreForEachMemberAndEachPolicy(t *testing.T) {
	gate := limited(&clock{now: time.Unix(0, 0)}, egress.Limits{RequestsPerMinute: 1})
	by := func(workspace, member string) scope.Principal {
		return scope.Principal{Workspace: workspace, Member: member, Role: "member"}
	}
	for _, tt := range []struct {
		name, policy string
		by           scope.Principal
		want         bool
	}{
		{"the first", "tool x", by("home", "ann"), true},
		{"the same with another client", "tool x", by("home", "ann"), false},
		{"another member", "tool x", by("home", "ben"), true},
		{"the same name in another workspace", "tool x", by("other", "ann"), true},
		{"another policy", "tool y", by("home", "ann"), true},
		{"nobody's", "tool x", scope.Principal{}, true},
		{"nobody's again", "tool x", scope.Principal{}, false},
	} {
		client := gate.Client(egress.Policy{Name: tt.policy, By: tt.by, Allow: allow(t, "https://api.example.com")})
		if passed := ask(t, client) == nil; passed != tt.want {
			t.Errorf("%s: passed %v", tt.name, passed)
		}
	}
}

func TestALimitHoldsAmongManyAtATime(t *testing.T) {
	gate := limited(&clock{now: time.Unix(0, 0)}, egress.Limits{RequestsPerDay: 10})
	p := egress.Policy{Name: "test", Allow: allow(t, "https://api.example.com")}
	var group sync.WaitGroup
	passed := make(chan bool, 50)
	for range cap(passed) {
		group.Go(func() {
			_, err := gate.Client(p).Get("https://api.example.com/") //nolint:bodyclose // leads nowhere
			passed <- errors.Is(err, errNowhere)
		})
	}
	group.Wait()
	close(passed)
	n := 0
	for ok := range passed {
		if ok {
			n++
		}
	}
	if n != 10 {
		t.Errorf("%d passed", n)
	}
	if diff := cmp.Diff(map[string]egress.Total{"test": {Usage: egress.Usage{Requests: 10}, Limited: 40}}, gate.Totals()); diff != "" {
		t.Error(diff)
	}
}

// TestUses says what was used today, by whom, and what refuses them now.
func TestUses(t *testing.T) {
	c := &clock{now: time.Unix(0, 0)}
	gate := limited(c, egress.Limits{RequestsPerMinute: 2, RequestsPerDay: 10})
	ask := func(policy string, by scope.Principal) {
		_, _ = gate.Client(egress.Policy{Name: policy, By: by, Allow: allow(t, "https://api.example.com")}).Get("https://api.example.com/") //nolint:bodyclose // leads nowhere
	}
	ada, ben := scope.Principal{Workspace: "w", Member: "ada"}, scope.Principal{Workspace: "w", Member: "ben"}
	ask("tool b", ben)
	ask("tool a", ben)
	ask("tool a", ada)
	ask("tool a", ada)
	ask("tool a", ada) // refused
	limits := egress.Limits{RequestsPerMinute: 2, RequestsPerDay: 10}
	want := []egress.Use{
		{Policy: "tool a", By: ada, Today: egress.Usage{Requests: 2}, Limits: limits, Full: &egress.Limited{What: "2 requests per minute", After: time.Minute}},
		{Policy: "tool a", By: ben, Today: egress.Usage{Requests: 1}, Limits: limits},
		{Policy: "tool b", By: ben, Today: egress.Usage{Requests: 1}, Limits: limits},
	}
	if d := cmp.Diff(want, gate.Uses()); d != "" {
		t.Error(d)
	}
	c.set(time.Unix(24*3600, 0))
	if got := gate.Uses(); len(got) > 0 {
		t.Errorf("on the next day: %+v", got)
	}
}

// However requests and times come, no minute and no day has more than its limit.
func TestNoWindowHasMoreThanItsLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &clock{now: time.Unix(0, 0)}
		perMinute, perDay := rapid.Int64Range(1, 5).Draw(t, "minute"), rapid.Int64Range(1, 20).Draw(t, "day")
		dial := limited(c, egress.Limits{RequestsPerMinute: perMinute, RequestsPerDay: perDay}).
			Dial(egress.Policy{Name: "test", Allow: []egress.Destination{{Scheme: "https", Host: "api.example.com", Port: 443}}})
		minutes, days := map[int64]int64{}, map[int64]int64{}
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			c.set(c.Now().Add(time.Duration(rapid.Int64Range(0, int64(3*time.Hour)).Draw(t, "later"))))
			now := c.Now().Unix()
			_, err := dial(context.Background(), "tcp", "api.example.com:443")
			full := minutes[now/60] == perMinute || days[now/86400] == perDay
			if refused := !errors.Is(err, errNowhere); refused != full {
				t.Fatalf("refused %v with %d in the minute and %d in the day", refused, minutes[now/60], days[now/86400])
			}
			if !full {
				minutes[now/60]++
				days[now/86400]++
			}
		}
	})
}

func TestInvariant05BytesAreLimited(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(make([]byte, 3000))
	}))
	t.Cleanup(server.Close)
	p := egress.Policy{Name: "test", Allow: allow(t, server.URL), Operator: []string{strings.TrimPrefix(server.URL, "http://")}}
	for name, l := range map[string]egress.Limits{"minute": {BytesPerMinute: 5000}, "day": {BytesPerDay: 5000}} {
		gate := egress.New(egress.Options{Now: (&clock{now: time.Unix(0, 0)}).Now, Terms: terms(egress.Terms{Limits: l})})
		client := gate.Client(p)
		send := func() error {
			res, err := client.Post(server.URL, "text/plain", strings.NewReader(strings.Repeat("x", 1000)))
			if err == nil {
				_, err = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
			return err
		}
		for range 2 { // one is below the limit, and the second takes it across
			if err := send(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		var limit *egress.Limited
		if err := send(); !errors.As(err, &limit) {
			t.Errorf("%s: got %v", name, err)
		}
		client.CloseIdleConnections()
		if got := gate.Totals()["test"]; got.Requests != 2 || got.Limited != 1 || got.Bytes < 8000 || got.Bytes > 9500 {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// book is a ledger in memory.
type book struct {
	mu     sync.Mutex
	day    string
	used   map[string]egress.Usage
	writes int
	broken error
}

func (b *book) Add(_ context.Context, day string, used map[string]egress.Usage) (map[string]egress.Usage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken != nil {
		return nil, b.broken
	}
	if b.day != day {
		b.day, b.used = day, map[string]egress.Usage{}
	}
	for k, u := range used {
		b.used[k] = egress.Usage{Requests: b.used[k].Requests + u.Requests, Bytes: b.used[k].Bytes + u.Bytes}
	}
	if len(used) > 0 {
		b.writes++
	}
	return maps.Clone(b.used), nil
}

// state returns a copy of one usage, and how often something was written.
func (b *book) state(name string) (egress.Usage, int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used[name], b.writes
}

func (b *book) breaks(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = err
}

func TestADayOutlivesTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := &book{}
		p := egress.Policy{
			Name: "tool x", By: scope.Principal{Workspace: "home", Member: "ann"}, Allow: allow(t, "https://api.example.com"),
		}
		begin := func() (client *http.Client, end func()) {
			fake := &internet{names: map[string][]string{"api.example.com": {publicAddress}}}
			gate := egress.New(egress.Options{Dialer: fake.dialer, Terms: terms(egress.Terms{Limits: egress.Limits{RequestsPerDay: 5}})})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- gate.Run(ctx, ledger) }()
			synctest.Wait()
			return gate.Client(p), func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		}
		client, end := begin()
		for range 3 {
			if l := ask(t, client); l != nil {
				t.Fatal(l)
			}
		}
		end()
		if got, _ := ledger.state("tool x/home/ann"); got.Requests != 3 {
			t.Fatalf("the ledger has %+v", got)
		}

		one, endOne := begin()
		two, endTwo := begin()
		if l := ask(t, one); l != nil {
			t.Fatal(l)
		}
		time.Sleep(6 * time.Second) // both hear of each other with their next saving
		if l := ask(t, two); l != nil {
			t.Fatal(l)
		}
		time.Sleep(6 * time.Second)
		if ask(t, two) == nil {
			t.Error("a sixth request passes")
		}
		ledger.breaks(errors.New("the store is away"))
		time.Sleep(24 * time.Hour)
		if l := ask(t, one); l != nil {
			t.Errorf("the next day: %v", l)
		}
		time.Sleep(6 * time.Second)
		ledger.breaks(nil)
		time.Sleep(6 * time.Second)
		if got, _ := ledger.state("tool x/home/ann"); got.Requests != 1 {
			t.Errorf("what could not be kept at once is lost: %+v", got)
		}
		_, writes := ledger.state("")
		time.Sleep(time.Hour)
		endOne()
		endTwo()
		if _, now := ledger.state(""); now != writes {
			t.Errorf("%d writes of nothing", now-writes)
		}
	})
}

func TestWhatWasLetOutIsReportedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []egress.Decision
		fake := &internet{names: map[string][]string{"a.x.com": {publicAddress}, "b.x.com": {publicAddress}}}
		gate := egress.New(egress.Options{Dialer: fake.dialer, Report: func(_ context.Context, d egress.Decision) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, d)
		}})
		ann := scope.Principal{Workspace: "home", Member: "ann", Role: "member"}
		client := gate.Client(egress.Policy{Name: "tool x", By: ann, Allow: allow(t, "https://*.x.com")})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- gate.Run(ctx, &book{}) }()
		for _, u := range []string{"https://a.x.com/1", "https://b.x.com/", "https://a.x.com/2"} {
			if _, err := get(t, client, u); !errors.Is(err, errNowhere) {
				t.Fatal(err)
			}
		}
		time.Sleep(61 * time.Second)
		if _, err := get(t, client, "https://a.x.com/3"); !errors.Is(err, errNowhere) {
			t.Fatal(err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		want := []egress.Decision{
			{Policy: "tool x", By: ann, Host: "a.x.com:443", Count: 2},
			{Policy: "tool x", By: ann, Host: "b.x.com:443", Count: 1},
			{Policy: "tool x", By: ann, Host: "a.x.com:443", Count: 1},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestInvariant05TermsAreOnePolicysAlone(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("10.1.2.0/24")}
	inside := egress.Terms{Inside: []egress.Inside{{Host: "Git.corp:443", Within: networks}}}
	behind := egress.Terms{Proxy: &egress.Proxy{Scheme: "http", Addr: "proxy.corp:3128"}}
	tests := []struct {
		name, policy, allow, addr, answer string
		gate                              egress.Proxy
		want                              string // the address that is dialled; "": refused
	}{
		{"in the network", "inside", "https://git.corp", "git.corp:443", "10.1.2.3", egress.Proxy{}, "10.1.2.3"},
		{"in the network, past the proxy", "inside", "https://git.corp", "git.corp:443", "10.1.2.3", *behind.Proxy, "10.1.2.3"},
		{"beside the network", "inside", "https://git.corp", "git.corp:443", "10.1.3.3", egress.Proxy{}, ""},
		{"metadata", "inside", "https://git.corp", "git.corp:443", "169.254.169.254", egress.Proxy{}, ""},
		{"another port", "inside", "https://git.corp:8443", "git.corp:8443", "10.1.2.3", egress.Proxy{}, ""},
		{"another host", "inside", "https://wiki.corp", "wiki.corp:443", "10.1.2.3", egress.Proxy{}, ""},
		{"what the policy does not allow", "inside", "https://wiki.corp", "git.corp:443", "10.1.2.3", egress.Proxy{}, ""},
		{"another policy", "other", "https://git.corp", "git.corp:443", "10.1.2.3", egress.Proxy{}, ""},
		{"a proxy of its own", "behind", "https://api.example", "api.example:443", publicAddress, egress.Proxy{}, "10.0.0.9"},
		{"none for the others", "other", "https://api.example", "api.example:443", publicAddress, egress.Proxy{}, publicAddress},
		{"the gate's for the others", "other", "https://api.example", "api.example:443", publicAddress, *behind.Proxy, "10.0.0.9"},
		{"none of its own", "direct", "https://api.example", "api.example:443", publicAddress, *behind.Proxy, publicAddress},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			host, _, err := net.SplitHostPort(tt.addr)
			if err != nil {
				t.Fatal(err)
			}
			fake := &internet{names: map[string][]string{"proxy.corp": {"10.0.0.9"}, host: {tt.answer}}}
			gate := egress.New(egress.Options{Dialer: fake.dialer, Proxy: tt.gate, Terms: func(policy string) egress.Terms {
				return map[string]egress.Terms{"inside": inside, "behind": behind, "direct": {Proxy: &egress.Proxy{}}}[policy]
			}})
			_, err = gate.Dial(egress.Policy{Name: tt.policy, Allow: allow(t, tt.allow)})(t.Context(), "tcp", tt.addr)
			if tt.want == "" && !errors.Is(err, egress.ErrDenied) {
				t.Errorf("got %v", err)
			}
			if got := strings.Join(fake.seen(), " "); got != tt.want {
				t.Errorf("dialled %q, want %q; %v", got, tt.want, err)
			}
		})
	}
}

func TestAuthoritiesOfOnePolicy(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = nil
	secure.StartTLS()
	t.Cleanup(secure.Close)
	roots := secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	fake := &internet{}
	fake.host("example.com:443", publicAddress, secure.Listener.Addr().String())
	gate := egress.New(egress.Options{Dialer: fake.dialer, Terms: func(policy string) egress.Terms {
		if policy == "trusting" {
			return egress.Terms{Roots: roots}
		}
		return egress.Terms{}
	}})
	for policy, want := range map[string]bool{"trusting": true, "other": false} {
		client := gate.Client(egress.Policy{Name: policy, Allow: allow(t, "https://example.com")})
		t.Cleanup(client.CloseIdleConnections)
		if _, err := get(t, client, "https://example.com/"); (err == nil) != want {
			t.Errorf("%s: %v", policy, err)
		}
	}
}
