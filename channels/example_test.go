package channels_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// lines is the smallest correct adapter: its platform is a stream of numbered
// lines from one person, and what is written back is printed.
type lines struct {
	in  io.Reader
	out io.Writer
}

var _ channels.Channel = lines{}

func (lines) Features(channels.Address) channels.Features {
	return channels.Features{Dialect: markup.PlainText, MaxText: 80}
}

// Run accepts each line, together with how far it has read, before it asks for
// the next one: that is the acknowledgement of this platform.
func (l lines) Run(ctx context.Context, sink channels.Sink) error {
	scan := bufio.NewScanner(l.in)
	for n := 1; scan.Scan(); n++ {
		id := fmt.Sprint(n)
		batch := channels.Batch{
			Events: []channels.Event{{
				Key: "line/" + id, At: time.Now(), Account: "stdin", Addressed: true,
				Where:   channels.Address{Account: "stdin", Conversation: "terminal"},
				Room:    channels.Room{Direct: true},
				Who:     channels.Sender{ID: "you"},
				Content: channels.Message{ID: channels.MessageID(id), Text: scan.Text()},
			}},
			State: []channels.Write{{Key: "offset", Value: []byte(id)}},
		}
		for {
			// What can never be kept is done with; after every other error the
			// same line is offered again.
			_, err := channels.Offer(ctx, sink, batch)
			if err == nil {
				break
			}
			select {
			case <-time.After(max(time.Second, channels.RetryAfter(err))):
			case <-ctx.Done():
				return nil
			}
		}
	}
	return scan.Err()
}

// Send says by the kind of its error what can have happened.
func (l lines) Send(_ context.Context, p channels.Part) (channels.Receipt, error) {
	text := l.Features(p.To).Dialect.Render(p.Body) + "\n"
	n, err := io.WriteString(l.out, text)
	if err != nil {
		kind := channels.Ambiguous // some of it may have been seen
		if n == 0 {
			kind = channels.Transient
		}
		return channels.Receipt{}, &channels.Error{Op: "send", Kind: kind, Err: err}
	}
	return channels.Receipt{ID: channels.MessageID(p.Key), At: time.Now()}, nil
}

// printing stands in for the gateway.
type printing struct{}

func (printing) Accept(_ context.Context, b channels.Batch) error {
	fmt.Printf("kept %s with offset %s: %s\n", b.Events[0].Key, b.State[0].Value, b.Events[0].Content.(channels.Message).Text)
	return nil
}

func (printing) Replies(context.Context, channels.AccountID, string) iter.Seq2[channels.Part, error] {
	return func(yield func(channels.Part, error) bool) { yield(channels.Part{}, errors.ErrUnsupported) }
}

// The smallest correct adapter. Real ones are held to the contract by
// channeltest.
func Example() {
	ctx := context.Background()
	c := lines{in: strings.NewReader("hello\nand goodbye\n"), out: os.Stdout}
	if err := c.Run(ctx, printing{}); err != nil {
		fmt.Println(err)
	}
	_, err := c.Send(ctx, channels.Part{Key: "a1", Body: markup.Parse("Good **morning**")})
	fmt.Println(err)
	// Output:
	// kept line/1 with offset 1: hello
	// kept line/2 with offset 2: and goodbye
	// Good morning
	// <nil>
}
