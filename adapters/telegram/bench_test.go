package telegram_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-telegram/bot"
	"github.com/go-telegram/bot/models"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// plainHost is a host whose client does nothing but send, so that the adapter
// alone is measured.
type plainHost struct {
	*channeltest.Host
	client *http.Client
}

func (h plainHost) Client(channels.AccountID) *http.Client { return h.client }

func (h plainHost) Secret(context.Context, string) (channels.Secret, error) {
	return channels.NewSecret("1:placeholder"), nil
}

func newClient(b *testing.B) *http.Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	b.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func newSender(b *testing.B, base string) channels.Channel {
	b.Helper()
	h := plainHost{channeltest.NewHost(b), newClient(b)}
	ch, err := telegram.Driver{}.Open(b.Context(), h, section("base_url", base))
	if err != nil {
		b.Fatal(err)
	}
	return ch
}

const sentAnswer = `{"ok":true,"result":{"message_id":501,"from":{"id":1,"is_bot":true,"first_name":"Gate","username":"gate_bot"},"chat":{"id":7,"first_name":"Ada","type":"private"},"date":1767225000,"text":"hello"}}`

// canned answers every request with the same bytes.
func canned(b *testing.B) string {
	b.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, sentAnswer)
	}))
	b.Cleanup(srv.Close)
	return srv.URL
}

// cpu is the processor time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure runs one send after the other and reports the processor time that
// each took, the canned server's included.
func measure(b *testing.B, send func() error) {
	b.Helper()
	b.ReportAllocs()
	if err := send(); err != nil {
		b.Fatal(err)
	}
	from := cpu()
	b.ResetTimer()
	for range b.N {
		if err := send(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu()-from).Microseconds())/float64(b.N), "cpu-µs/op")
}

const answerText = "The **meeting** is at ten.\n\n- bring the `plan.pdf`\n- call [Ada](https://example.org)\n\nSee you there."

// BenchmarkSend compares the ways to send the same answer: as this package
// does, with a JSON body; through the library, which writes multipart in
// chunks; and a bare POST, which is the floor that net/http sets.
func BenchmarkSend(b *testing.B) {
	body := markup.Parse(answerText)
	b.Run("json", func(b *testing.B) {
		ch := newSender(b, canned(b))
		p := channels.Part{Key: "turn/0", To: channels.Address{Conversation: "7"}, Body: body, ReplyTo: "4"}
		measure(b, func() error { _, err := ch.Send(b.Context(), p); return err })
	})
	b.Run("library", func(b *testing.B) {
		c, err := bot.New("1:placeholder", bot.WithServerURL(canned(b)), bot.WithSkipGetMe(), bot.WithHTTPClient(time.Minute, newClient(b)))
		if err != nil {
			b.Fatal(err)
		}
		measure(b, func() error {
			_, err := c.SendMessage(b.Context(), &bot.SendMessageParams{
				ChatID: 7, Text: markup.TelegramHTML.Render(body), ParseMode: models.ParseModeHTML,
				LinkPreviewOptions: &models.LinkPreviewOptions{IsDisabled: bot.True()},
				ReplyParameters:    &models.ReplyParameters{MessageID: 4, AllowSendingWithoutReply: true},
			})
			return err
		})
	})
	b.Run("floor", func(b *testing.B) {
		client, to := newClient(b), canned(b)
		measure(b, func() error {
			resp, err := client.Post(to, "application/json", strings.NewReader(answerText)) //nolint:noctx // the least there is
			if err != nil {
				return err
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			return resp.Body.Close()
		})
	})
}

// counter is a sink that only counts.
type counter struct {
	channels.Sink
	n    atomic.Int64
	want int64
	done chan struct{}
}

func (c *counter) Accept(_ context.Context, b channels.Batch) error {
	if c.n.Add(int64(len(b.Events))) == c.want {
		close(c.done)
	}
	return nil
}

// BenchmarkPoll is the intake: updates in batches of a hundred, decoded and
// handed to a sink that costs nothing.
func BenchmarkPoll(b *testing.B) {
	var batch strings.Builder
	batch.WriteString(`{"ok":true,"result":[`)
	one := strings.ReplaceAll(message, "%", "11")
	batch.WriteString(strings.Repeat(one+",", 99) + one + `]}`)
	left := atomic.Int64{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch {
		case strings.HasSuffix(r.URL.Path, "/getMe"):
			_, _ = io.WriteString(w, `{"ok":true,"result":{"id":1,"is_bot":true,"first_name":"Gate","username":"gate_bot"}}`)
		case left.Add(-100) < 0:
			<-r.Context().Done()
		default:
			_, _ = io.WriteString(w, batch.String())
		}
	}))
	defer srv.Close()
	b.ReportAllocs()
	rounds := int64((b.N + 99) / 100)
	left.Store(rounds * 100)
	sink := &counter{want: rounds * 100, done: make(chan struct{})}
	ch := newSender(b, srv.URL)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	from := cpu()
	b.ResetTimer()
	go func() { ended <- ch.Run(ctx, sink) }()
	<-sink.done
	b.StopTimer()
	b.ReportMetric(float64((cpu()-from).Microseconds())/float64(rounds*100), "cpu-µs/op")
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}
