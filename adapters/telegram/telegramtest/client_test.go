package telegramtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/go-telegram/bot"
	"github.com/go-telegram/bot/models"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deadline ends a test that waits for something which does not come.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// client is the library go-telegram/bot pointed at the emulator.
func client(t *testing.T, srv *telegramtest.Server, opts ...bot.Option) *bot.Bot {
	t.Helper()
	b, err := bot.New(srv.Token(), append([]bot.Option{
		bot.WithServerURL(srv.URL()),
		bot.WithErrorsHandler(func(err error) { t.Log(err) }),
	}, opts...)...)
	if err != nil {
		t.Fatalf("bot.New: %v", err)
	}
	return b
}

// runEcho runs a bot that sends back what it gets, until the test ends.
func runEcho(t *testing.T, srv *telegramtest.Server, opts ...bot.Option) {
	t.Helper()
	echo := func(ctx context.Context, b *bot.Bot, u *models.Update) {
		if u.Message == nil {
			return
		}
		_, err := b.SendMessage(ctx, &bot.SendMessageParams{ChatID: u.Message.Chat.ID, Text: "you said " + u.Message.Text})
		if err != nil && ctx.Err() == nil {
			t.Errorf("SendMessage: %v", err)
		}
	}
	b := client(t, srv, append([]bot.Option{bot.WithDefaultHandler(echo), bot.WithNotAsyncHandlers()}, opts...)...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.Start(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

func TestLibraryPollsAndAnswers(t *testing.T) {
	srv := telegramtest.NewServer(t)
	ada := srv.User(7527593, "Ada Byron")
	chat := srv.Private(ada)
	chat.Say(ada, "before the bot came")
	runEcho(t, srv)
	chat.Say(ada, "hello")
	if err := srv.Wait(deadline(t), func(l telegramtest.Log) bool { return len(l) == 2 }); err != nil {
		t.Fatal(err)
	}
	want := []string{"you said before the bot came", "you said hello"}
	if diff := cmp.Diff(want, chat.Delivered().Texts()); diff != "" {
		t.Error(diff)
	}
}
