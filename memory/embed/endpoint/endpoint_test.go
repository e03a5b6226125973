package endpoint_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/embed/endpoint"
)

// asked is one request as an endpoint sees it.
type asked struct {
	Path, Key  string
	Model      string   `json:"model"`
	Input      []string `json:"input"`
	Dimensions int      `json:"dimensions"`
}

// server answers with vectors that say how long a text is, in reverse order.
func server(t *testing.T) (url string, got *[]asked) {
	t.Helper()
	got = &[]asked{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := asked{Path: r.URL.Path, Key: r.Header.Get("Authorization")}
		if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
			t.Error(err)
		}
		*got = append(*got, a)
		var data []map[string]any
		for i := range a.Input {
			at := len(a.Input) - 1 - i
			data = append(data, map[string]any{"index": at, "embedding": []float64{float64(len(a.Input[at])), 0, 1}})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

func open(t *testing.T, o endpoint.Options) *endpoint.Embedder {
	t.Helper()
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	e, err := endpoint.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEmbed(t *testing.T) {
	url, got := server(t)
	e := open(t, endpoint.Options{
		Name: "openai", BaseURL: url + "/v1/", Model: "m", Dimensions: 3, Shorten: true, Key: "k", Query: "q: ", Passage: "p: ",
	})
	if e.Model() != "openai/m/3" || e.Dimensions() != 3 {
		t.Errorf("%s, %d", e.Model(), e.Dimensions())
	}
	vectors, err := e.Embed(t.Context(), memory.ForPassage, []string{"one", " \n", "three", "\xff"})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{6, 0, 8, 6} {
		if want == 0 {
			if vectors[i] != nil {
				t.Errorf("vector %d is %v", i, vectors[i])
			}
			continue
		}
		by := math.Sqrt(want*want + 1)
		if diff := cmp.Diff([]float32{float32(want / by), 0, float32(1 / by)}, vectors[i],
			cmp.Comparer(func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-6 })); diff != "" {
			t.Errorf("vector %d: %s", i, diff)
		}
	}
	if _, err := e.Embed(t.Context(), memory.ForQuery, []string{"where?"}); err != nil {
		t.Fatal(err)
	}
	want := []asked{
		{Path: "/v1/embeddings", Key: "Bearer k", Model: "m", Dimensions: 3, Input: []string{"p: one", "p: three", "p: \ufffd"}},
		{Path: "/v1/embeddings", Key: "Bearer k", Model: "m", Dimensions: 3, Input: []string{"q: where?"}},
	}
	if diff := cmp.Diff(want, *got); diff != "" {
		t.Error(diff)
	}
}

func TestWeight(t *testing.T) {
	for _, c := range []struct {
		question string
		latin    bool
		least    float64
		most     float64
	}{
		{"where is the boiler?", true, memory.UsualWeight, memory.UsualWeight},
		{"¿dónde está?", true, memory.UsualWeight, memory.UsualWeight},
		{"42?", true, memory.UsualWeight, memory.UsualWeight},
		{"锅炉在哪里?", true, 0.01, 0.5},
		{"где котёл?", true, 0.01, 0.5},
		{"boiler 锅炉", true, 4, 7},
		{"锅炉在哪里?", false, memory.UsualWeight, memory.UsualWeight},
	} {
		e := open(t, endpoint.Options{Name: "x", BaseURL: "http://x", Model: "m", Dimensions: 3, Latin: c.latin})
		if got := e.Weight(c.question); got < c.least-0.01 || got > c.most+0.01 {
			t.Errorf("%q, latin %t: %v", c.question, c.latin, got)
		}
	}
}

func TestBatches(t *testing.T) {
	url, got := server(t)
	e := open(t, endpoint.Options{Name: "x", BaseURL: url, Model: "m", Dimensions: 3})
	texts := make([]string, 0, 140)
	for i := range 135 {
		texts = append(texts, strings.Repeat("a", i+1))
	}
	for range 5 {
		texts = append(texts, strings.Repeat("b", 100_000))
	}
	vectors, err := e.Embed(t.Context(), memory.ForPassage, texts)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range vectors {
		if want := float32(len(texts[i])); v[0] < v[2]*want*0.99 || v[0] > v[2]*want*1.01 {
			t.Fatalf("text %d has the vector of another: %v", i, v)
		}
	}
	var sizes []int
	for _, a := range *got {
		sizes = append(sizes, len(a.Input))
	}
	if diff := cmp.Diff([]int{64, 64, 9, 2, 1}, sizes); diff != "" {
		t.Error(diff)
	}
	*got = nil
	if _, err := e.Embed(t.Context(), memory.ForPassage, []string{"", " "}); err != nil || len(*got) > 0 {
		t.Errorf("%d requests for nothing, %v", len(*got), err)
	}
}

// trip answers requests without a network.
type trip func(n int) (status int, header http.Header, body string, err error)

func (f trip) client(count *atomic.Int32) *http.Client {
	return &http.Client{Transport: rounds{f, count}}
}

type rounds struct {
	f     trip
	count *atomic.Int32
}

func (r rounds) RoundTrip(req *http.Request) (*http.Response, error) {
	status, header, body, err := r.f(int(r.count.Add(1)))
	if err != nil {
		return nil, err
	}
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

const fine = `{"data":[{"index":0,"embedding":[0,0,2]}]}`

func TestAskingAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		kind  memory.EmbedKind
		f     trip
		want  string // in the error; "": none
		tries int32
		took  time.Duration
	}{
		{"at once", memory.ForPassage, func(int) (int, http.Header, string, error) { return 200, nil, fine, nil }, "", 1, 0},
		{
			"busy, then well", memory.ForPassage, func(n int) (int, http.Header, string, error) {
				if n < 3 {
					return 503, nil, "", nil
				}
				return 200, nil, fine, nil
			}, "", 3, 1500 * time.Millisecond,
		},
		{
			"it says how long", memory.ForPassage, func(n int) (int, http.Header, string, error) {
				if n == 1 {
					return 429, http.Header{"Retry-After": {"7"}}, "", nil
				}
				return 200, nil, fine, nil
			}, "", 2, 7 * time.Second,
		},
		{
			"too long", memory.ForPassage, func(int) (int, http.Header, string, error) {
				return 429, http.Header{"Retry-After": {"600"}}, `{"error":{"code":"rate_limit"}}`, nil
			}, "status 429 (rate_limit)", 1, 0,
		},
		{
			"a question does not wait long", memory.ForQuery, func(int) (int, http.Header, string, error) { return 500, nil, "", nil },
			"status 500", 2, 500 * time.Millisecond,
		},
		{
			"away", memory.ForPassage, func(int) (int, http.Header, string, error) { return 0, nil, "", errors.New("no route") },
			"no route", 5, 7500 * time.Millisecond,
		},
		{
			"refused", memory.ForPassage, func(int) (int, http.Header, string, error) {
				return 401, nil, `{"error":{"message":"secret text","code":"invalid_api_key"}}`, nil
			}, "status 401 (invalid_api_key): check memory.api_key", 1, 0,
		},
		{
			"no such model", memory.ForPassage, func(int) (int, http.Header, string, error) {
				return 404, nil, `{"error":{"code":"secret text"}}`, nil
			}, "status 404: check memory.base_url and memory.model", 1, 0,
		},
		{
			"another length", memory.ForPassage, func(int) (int, http.Header, string, error) {
				return 200, nil, `{"data":[{"index":0,"embedding":[1,2]}]}`, nil
			}, "makes vectors of 2 dimensions, not of 3: set memory.dimensions", 1, 0,
		},
		{
			"zero", memory.ForPassage, func(int) (int, http.Header, string, error) {
				return 200, nil, `{"data":[{"index":0,"embedding":[0,0,0]}]}`, nil
			}, "no length", 1, 0,
		},
		{
			"another text's", memory.ForPassage, func(int) (int, http.Header, string, error) {
				return 200, nil, `{"data":[{"index":3,"embedding":[0,0,1]}]}`, nil
			}, "not asked for", 1, 0,
		},
		{
			"none", memory.ForPassage, func(int) (int, http.Header, string, error) { return 200, nil, `{"data":[]}`, nil },
			"0 vectors of 1 texts", 1, 0,
		},
		{
			"a page", memory.ForPassage, func(int) (int, http.Header, string, error) { return 200, nil, `<html>secret text`, nil },
			"syntax is broken", 1, 0,
		},
		{
			"another type", memory.ForPassage, func(int) (int, http.Header, string, error) {
				return 200, nil, `{"data":"secret text"}`, nil
			}, "another type", 1, 0,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var count atomic.Int32
				e := open(t, endpoint.Options{Name: "x", BaseURL: "http://x.test", Model: "m", Dimensions: 3, Client: c.f.client(&count)})
				begin := time.Now()
				v, err := e.Embed(t.Context(), c.kind, []string{"secret text"})
				switch {
				case c.want == "" && (err != nil || cmp.Diff([][]float32{{0, 0, 1}}, v) != ""):
					t.Errorf("%v, %v", v, err)
				case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret text")):
					t.Errorf("error %v, want %q", err, c.want)
				}
				if count.Load() != c.tries || time.Since(begin) != c.took {
					t.Errorf("%d tries in %s, want %d in %s", count.Load(), time.Since(begin), c.tries, c.took)
				}
			})
		})
	}
}

func TestEmbedEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var count atomic.Int32
		busy := trip(func(int) (int, http.Header, string, error) { return 503, nil, "", nil })
		e := open(t, endpoint.Options{Name: "x", BaseURL: "http://x.test", Model: "m", Dimensions: 3, Client: busy.client(&count)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := e.Embed(ctx, memory.ForPassage, []string{"a"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestOptionsThatCannotWork(t *testing.T) {
	good := endpoint.Options{BaseURL: "http://x.test", Model: "m", Dimensions: 3, Client: http.DefaultClient}
	for name, change := range map[string]func(*endpoint.Options){
		"no client": func(o *endpoint.Options) { o.Client = nil }, "no address": func(o *endpoint.Options) { o.BaseURL = "" },
		"no model": func(o *endpoint.Options) { o.Model = "" }, "no dimensions": func(o *endpoint.Options) { o.Dimensions = 0 },
		"endless": func(o *endpoint.Options) { o.Dimensions = 1 << 20 },
	} {
		o := good
		change(&o)
		if _, err := endpoint.New(o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{fine, `{"data":[{"embedding":[1e38,1e38,1e38]}]}`, `{"data":[{"index":-1}]}`, `{"data":[null]}`, `[]`} {
		f.Add(200, s)
		f.Add(500, fmt.Sprintf(`{"error":%s}`, s))
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		var count atomic.Int32
		one := trip(func(int) (int, http.Header, string, error) {
			return status, http.Header{"Retry-After": {"4000"}}, body, nil
		})
		e := open(t, endpoint.Options{Name: "x", BaseURL: "http://x.test", Model: "m", Dimensions: 3, Client: one.client(&count)})
		v, err := e.Embed(t.Context(), memory.ForQuery, []string{"a"})
		if err == nil && (len(v) != 1 || len(v[0]) != 3) {
			t.Fatalf("%v", v)
		}
	})
}
