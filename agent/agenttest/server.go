package agenttest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// maxBody bounds what the server reads of one request, in bytes.
const maxBody = 32 << 20

// Config sets up a [Server]. The zero Config answers everybody with [Echo].
type Config struct {
	Script Script
	Key    string   // refuse every other key with 401; "": any
	Models []string // what GET /models lists; any other model is 404 when Strict
	Strict bool
	// PublicList lists the models to anybody, as OpenRouter and NEAR AI do.
	PublicList bool
	// NoStreamOptions refuses stream_options with a 400, as some endpoints do.
	NoStreamOptions bool
	Addr            string // to listen on; "": a free port of 127.0.0.1
}

// Server is a [Model] behind HTTP. POST /v1/chat/completions and GET /v1/models
// speak OpenAI's dialect, POST /v1/messages and, with an x-api-key header,
// GET /v1/models that of Anthropic. GET /v1/key tells of a key, as OpenRouter
// does. GET /requests lists what was asked.
type Server struct {
	*Model
	// URL has no path; an OpenAI client takes URL + "/v1", an Anthropic client URL.
	URL string

	cfg  Config
	http *http.Server
	stop context.CancelFunc
	wg   sync.WaitGroup
}

// NewServer starts a server that ends with the test.
func NewServer(t testing.TB, s Script) *Server {
	t.Helper()
	srv, err := Start(Config{Script: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	return srv
}

// Start listens and serves until Close.
func Start(c Config) (*Server, error) {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{Model: NewModel(c.Script), URL: "http://" + ln.Addr().String(), cfg: c, stop: stop}
	if c.Models != nil {
		s.names = c.Models
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) { s.chat(w, r, openAI{}) })
	mux.HandleFunc("POST /v1/messages", func(w http.ResponseWriter, r *http.Request) { s.chat(w, r, anthropic{}) })
	mux.HandleFunc("POST /v1/audio/transcriptions", s.transcribe)
	mux.HandleFunc("GET /v1/models", s.models)
	mux.HandleFunc("GET /v1/key", func(w http.ResponseWriter, r *http.Request) {
		if s.allowed(w, r, openAI{}) {
			_, _ = io.WriteString(w, `{"data":{"label":"agenttest","limit":null}}`)
		}
	})
	mux.HandleFunc("GET /requests", s.requests)
	s.http = &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	s.wg.Go(func() { _ = s.http.Serve(ln) })
	return s, nil
}

// OpenAI is the base URL for clients of that dialect.
func (s *Server) OpenAI() string { return s.URL + "/v1" }

// Anthropic is the base URL for clients of that dialect.
func (s *Server) Anthropic() string { return s.URL }

// Close drops every connection and returns when all calls have ended.
func (s *Server) Close() {
	s.stop()
	_ = s.http.Close()
	s.wg.Wait()
}

// dialect writes answers as one platform does.
type dialect interface {
	name() string
	key(h http.Header) string
	// refusal is the body of an error response.
	refusal(status int, code string) []byte
	// begin, piece and end append events of a stream.
	begin(b []byte, r *Request, t Tokens) []byte
	piece(b []byte, r *Request, text string) []byte
	end(b []byte, r *Request, a *Answer, t Tokens) []byte
	failure(b []byte, code string) []byte
	// whole is an answer that is not streamed.
	whole(r *Request, a *Answer, t Tokens) any
}

func (s *Server) chat(w http.ResponseWriter, r *http.Request, d dialect) {
	if !s.allowed(w, r, d) {
		return
	}
	body, err := readBody(r)
	if err != nil {
		refuse(w, d, http.StatusBadRequest, "invalid_request_error", "")
		return
	}
	req := &Request{API: d.name(), Header: r.Header, Body: body}
	members(body, func(k, v []byte) bool {
		switch string(k) {
		case `"model"`:
			req.Model = str(v)
		case `"stream"`:
			req.Stream = string(v) == "true"
		}
		return true
	})
	if s.cfg.NoStreamOptions && field(body, "stream_options") != nil {
		refuse(w, d, http.StatusBadRequest, "unknown_parameter_stream_options", "")
		return
	}
	if string(body) == "{}" { // no question at all, which no endpoint answers
		refuse(w, d, http.StatusBadRequest, "missing_required_parameter", "")
		return
	}
	if s.cfg.Strict && !s.knows(req.Model) {
		refuse(w, d, http.StatusNotFound, "model_not_found", "")
		return
	}
	a := s.answer(req)
	if pause(r.Context(), a.Delay) != nil {
		return
	}
	if a.Status != 0 {
		refuse(w, d, a.Status, a.Code, a.RetryAfter)
		return
	}
	if !req.Stream {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(d.whole(req, &a, a.tokens(req)))
		return
	}
	stream(w, r, d, req, &a)
}

func (s *Server) allowed(w http.ResponseWriter, r *http.Request, d dialect) bool {
	if s.cfg.Key == "" || d.key(r.Header) == s.cfg.Key {
		return true
	}
	refuse(w, d, http.StatusUnauthorized, "invalid_api_key", "")
	return false
}

func (s *Server) knows(model string) bool {
	for _, n := range s.names {
		if n == model {
			return true
		}
	}
	return false
}

func readBody(r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, errors.New("too large")
	}
	if r.ContentLength > 0 {
		b := make([]byte, r.ContentLength)
		_, err := io.ReadFull(r.Body, b)
		return b, err
	}
	return io.ReadAll(io.LimitReader(r.Body, maxBody))
}

func refuse(w http.ResponseWriter, d dialect, status int, code, retryAfter string) {
	w.Header().Set("Content-Type", "application/json")
	if retryAfter != "" {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.WriteHeader(status)
	_, _ = w.Write(d.refusal(status, code))
}

// stream writes an answer. One without pauses leaves in a single write.
func stream(w http.ResponseWriter, r *http.Request, d dialect, req *Request, a *Answer) {
	w.Header().Set("Content-Type", "text/event-stream")
	var t Tokens
	if !a.NoUsage {
		t = a.tokens(req)
	}
	buf := d.begin(make([]byte, 0, 1024+2*len(a.Text)), req, t)
	flush := func() bool {
		_, err := w.Write(buf)
		buf = buf[:0]
		if err == nil {
			err = http.NewResponseController(w).Flush()
		}
		return err == nil
	}
	for i, p := range a.pieces() {
		if a.Broken != Whole && i == a.After {
			break
		}
		if a.Each > 0 {
			if !flush() || pause(r.Context(), a.Each) != nil {
				return
			}
		}
		if i == 1 && a.Hold != nil {
			if !flush() || held(r.Context(), a.Hold) != nil {
				return
			}
		}
		buf = d.piece(buf, req, p)
	}
	switch a.Broken {
	case Whole:
		buf = d.end(buf, req, a, t)
	case Garbage:
		buf = append(buf, a.Raw...)
	case InStream:
		buf = d.failure(buf, a.Code)
	case Stall:
		flush()
		<-r.Context().Done()
	case Cut:
		flush()
		panic(http.ErrAbortHandler) // drops the connection without the last chunk
	}
	_, _ = w.Write(buf)
}

func (s *Server) models(w http.ResponseWriter, r *http.Request) {
	var d dialect = openAI{}
	if r.Header.Get("X-Api-Key") != "" {
		d = anthropic{}
	}
	if !s.cfg.PublicList && !s.allowed(w, r, d) {
		return
	}
	type model struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Type    string `json:"type"`
		Name    string `json:"display_name"`
		Created string `json:"created_at"`
		Owner   string `json:"owned_by"`
	}
	list := struct {
		Object string  `json:"object"`
		Data   []model `json:"data"`
		More   bool    `json:"has_more"`
	}{Object: "list"}
	for _, n := range s.names {
		list.Data = append(list.Data, model{ID: n, Object: "model", Type: "model", Name: n, Created: "2025-01-01T00:00:00Z", Owner: "agenttest"})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list)
}

// requests lists what was asked, for tests in another process.
func (s *Server) requests(w http.ResponseWriter, _ *http.Request) {
	type line struct {
		N     int       `json:"n"`
		At    time.Time `json:"at"`
		API   string    `json:"api"`
		Model string    `json:"model"`
		Asked []string  `json:"asked"`
	}
	w.Header().Set("Content-Type", "application/json")
	out := []line{}
	for _, r := range s.Requests() {
		out = append(out, line{N: r.N, At: r.At, API: r.API, Model: r.Model, Asked: r.Asked()})
	}
	_ = json.NewEncoder(w).Encode(out)
}

func bearer(h http.Header) string {
	return strings.TrimPrefix(h.Get("Authorization"), "Bearer ")
}
