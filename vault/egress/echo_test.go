package egress_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// TestInvariant02EchoesToAnAdapter: a server that shows what it was sent shows
// an adapter or a provider no value, in whatever usual spelling.
func TestInvariant02EchoesToAnAdapter(t *testing.T) {
	const value = `AA+secret/"secret" 12345`
	quoted, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	for name, echoed := range map[string]string{
		"as it is":            value,
		"in JSON":             `{"token":` + string(quoted) + `}`,
		"in a query":          "token=" + url.QueryEscape(value) + "&more=1",
		"in a path":           "/bot" + url.PathEscape(value) + "/getMe",
		"as a password":       base64.StdEncoding.EncodeToString([]byte("me:" + value)),
		"as another password": base64.StdEncoding.EncodeToString([]byte("you:" + value + "!")),
		"for a URL":           base64.RawURLEncoding.EncodeToString([]byte("her:" + value)),
		"in digits":           hex.EncodeToString([]byte("her:" + value)),
		"in capital digits":   strings.ToUpper(hex.EncodeToString([]byte(value))),
		"twice":               value + value,
	} {
		t.Run(name, func(t *testing.T) {
			client, base := local(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("X-Key"); got != value {
					t.Errorf("sent %q", got)
				}
				w.Header().Set("X-Echo", url.QueryEscape(value))
				w.Header().Set("Content-Length", strconv.Itoa(len("before, ")+len(echoed)+len(", after")))
				_, _ = io.WriteString(w, "before, "+echoed+", after")
			}), egress.Policy{Inject: []egress.Injection{{Placeholder: ph, Lease: lend(value)}}})
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Key", ph)
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if int64(len(body)) != res.ContentLength || !bytes.HasPrefix(body, []byte("before, ")) || !bytes.HasSuffix(body, []byte(", after")) {
				t.Errorf("%q of %d", body, res.ContentLength)
			}
			if got := res.Header.Get("X-Echo"); got != ph {
				t.Errorf("in the header: %q", got)
			}
			for _, form := range egress.Spellings(value) {
				if bytes.Contains(body, form) {
					t.Errorf("%q in %q", form, body)
				}
			}
		})
	}
}

// TestStreamsAreNotHeldUp: of what a provider streams, only what may be the
// beginning of a value waits for what comes after it.
func TestStreamsAreNotHeldUp(t *testing.T) {
	next := make(chan string)
	client, base := local(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for line := range next {
			_, _ = io.WriteString(w, line)
			_ = http.NewResponseController(w).Flush()
		}
	}), egress.Policy{Inject: []egress.Injection{{Placeholder: ph, Lease: lend(token)}}})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/?key="+ph, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan *bufio.Reader, 1)
	go func() {
		next <- "one\n"
		next <- "two " + token[:9]
	}()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	done <- bufio.NewReader(res.Body)
	lines := <-done
	for _, want := range []string{"one\n", "two " + strings.Repeat("*", len(token)) + "\n"} {
		got, err := lines.ReadString('\n')
		if err != nil || got != want {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
		if want == "one\n" {
			next <- token[9:] + "\n"
		}
	}
	close(next)
}

// TestEchoesInPieces: however a response arrives and is read, the same comes out.
func TestEchoesInPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[ab]{8,12}`).Draw(t, "value")
		text := []byte(strings.Join(rapid.SliceOfN(rapid.OneOf(rapid.Just(value), rapid.StringMatching(`[ab]{0,9}`)), 0, 9).Draw(t, "text"), ""))
		want := bytes.ReplaceAll(text, []byte(value), bytes.Repeat([]byte("*"), len(value)))
		var in io.Reader = bytes.NewReader(text)
		if rapid.Bool().Draw(t, "byte by byte") {
			in = iotest.OneByteReader(in)
		}
		if rapid.Bool().Draw(t, "the end with the last bytes") {
			in = iotest.DataErrReader(in)
		}
		r := egress.NewEcho(io.NopCloser(in), [][]byte{[]byte(value)})
		var got []byte
		for {
			p := make([]byte, rapid.IntRange(1, 40).Draw(t, "room"))
			n, err := r.Read(p)
			got = append(got, p[:n]...)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%q of %q; want %q", got, text, want)
		}
	})
}

// TestShortValuesHideNothing: what is no secret stands in ordinary text.
func TestShortValuesHideNothing(t *testing.T) {
	client, base := local(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Say", "the key")
		_, _ = io.WriteString(w, "the key")
	}), egress.Policy{Inject: []egress.Injection{{Placeholder: ph, Lease: lend("key")}}})
	res, err := client.Get(base + "/?key=" + ph) //nolint:noctx // ends by itself
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "the key" || res.Header.Get("X-Say") != "the key" {
		t.Errorf("%q, %v, %v", body, err, res.Header)
	}
}

func FuzzEcho(f *testing.F) {
	f.Add([]byte("before the-value after"), "the-value")
	f.Fuzz(func(t *testing.T, text []byte, value string) {
		all := egress.Spellings(value)
		if all == nil {
			return
		}
		got, err := io.ReadAll(egress.NewEcho(io.NopCloser(iotest.HalfReader(bytes.NewReader(text))), all))
		if err != nil || len(got) != len(text) {
			t.Fatalf("%d of %d, %v", len(got), len(text), err)
		}
		if !strings.Contains(value, "*") && bytes.Contains(got, []byte(value)) {
			t.Errorf("%q in %q", value, got)
		}
	})
}
