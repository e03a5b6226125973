package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/adapters/webhook"
	"github.com/gatehouse-chat/gatehouse/adapters/webhook/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/config"
)

// webhookCommand tries out what a webhook channel makes of a request.
func webhookCommand(f *flags) *cobra.Command {
	var file, query string
	var header []string
	test := &cobra.Command{
		Use: "test NAME --file FILE", Short: "Show what a channel makes of a request, and send nothing", Args: args(cobra.ExactArgs(1)),
		Long: "Show what the channel NAME makes of a request with the body in FILE: the message,\n" +
			"the conversation, the sender and the id by which a repetition is known, or why it\n" +
			"is ignored. It reads the configuration alone. Nothing is accepted or sent, and the\n" +
			"proof of the request is not looked at. A channel that runs as a guest (adapter:\n" +
			"wasm, module: webhook) is tried as its module would read the request.",
		Example: "  gatehouse webhook test github --file payload.json --header 'X-GitHub-Event: issues'\n" +
			"  echo '{\"text\": \"hello\"}' | gatehouse webhook test alerts --file -",
		RunE: func(c *cobra.Command, a []string) error {
			channel, err := webhookChannel(f, a[0])
			if err != nil {
				return err
			}
			body, err := bodyOf(c.InOrStdin(), file)
			if err != nil {
				return err
			}
			h, err := headerOf(header)
			if err != nil {
				return err
			}
			q, err := url.ParseQuery(strings.TrimPrefix(query, "?"))
			if err != nil {
				return fmt.Errorf("the query cannot be read: %w", err)
			}
			out, err := previewOf(channel)(channels.ID(a[0]), channel.Section, h, q, body)
			if err != nil {
				return err
			}
			showOutcome(c.OutOrStdout(), out)
			return nil
		},
	}
	test.Flags().StringVar(&file, "file", "", "the request's body; - for what is piped in")
	test.Flags().StringArrayVar(&header, "header", nil, "a header of the request, 'NAME: VALUE'; may be repeated")
	test.Flags().StringVar(&query, "query", "", "what stands behind the ? of the URL")
	return group("webhook", "Try out webhook channels", test)
}

// webhookChannel is a configured webhook channel, native or a guest.
func webhookChannel(f *flags, id string) (config.Channel, error) {
	s := &settings{flags: *f, getenv: getenv, drivers: allDrivers()}
	s.path, s.explicit = f.path(getenv)
	cfg, _, err := s.read()
	if err != nil {
		return config.Channel{}, err
	}
	var known []string
	for name, ch := range cfg.Channels {
		if previewOf(ch) != nil {
			known = append(known, name)
		}
	}
	slices.Sort(known)
	if len(known) == 0 {
		return config.Channel{}, fmt.Errorf("there is no webhook channel in %s; gatehouse channels add webhook makes one", s.path)
	}
	if !slices.Contains(known, id) {
		return config.Channel{}, fmt.Errorf("%q is no webhook channel of %s; there are: %s", id, s.path, strings.Join(known, ", "))
	}
	return cfg.Channels[id], nil
}

type preview func(id channels.ID, cfg json.RawMessage, h http.Header, query url.Values, body []byte) (codec.Outcome, error)

// previewOf is how a channel's requests are tried out; nil: it is no webhook.
func previewOf(ch config.Channel) preview {
	hook := webhook.Driver{}.Name()
	switch ch.Adapter {
	case hook:
		return webhook.Preview
	case (*wasm.Driver)(nil).Name():
		var s struct {
			Module string `json:"module"`
		}
		if json.Unmarshal(ch.Section, &s) == nil && s.Module == hook {
			return webhook.PreviewGuest
		}
	}
	return nil
}

var (
	errHeader = errors.New("a header is 'NAME: VALUE'")
	errNoFile = errors.New("--file names the request's body; - stands for what is piped in")
)

// bodyOf reads a request's body.
func bodyOf(in io.Reader, file string) ([]byte, error) {
	switch file {
	case "":
		return nil, usageError{errNoFile}
	case "-":
	default:
		opened, err := os.Open(file) //nolint:gosec // the person names it
		if err != nil {
			return nil, err
		}
		defer opened.Close() //nolint:errcheck // it was only read
		in = opened
	}
	return io.ReadAll(io.LimitReader(in, codec.MaxBody+1))
}

func headerOf(lines []string) (http.Header, error) {
	h := http.Header{}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, usageError{errHeader}
		}
		h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return h, nil
}

func showOutcome(w io.Writer, out codec.Outcome) {
	if out.Ignored != "" {
		fmt.Fprintf(w, "ignored: %s\n", out.Ignored)
		return
	}
	if out.Challenge != "" {
		fmt.Fprintln(w, "no message: the platform checks the address, and is answered")
		return
	}
	e := out.Event
	fmt.Fprintf(w, "conversation  %s\n", printable(string(e.Where.Conversation)))
	if e.Where.Thread != "" {
		fmt.Fprintf(w, "thread        %s\n", printable(string(e.Where.Thread)))
	}
	fmt.Fprintf(w, "sender        %s\n", printable(strings.TrimSpace(e.Who.ID+" "+e.Who.Name)))
	fmt.Fprintf(w, "id            %s\n", printable(e.Key))
	switch m := e.Content.(type) {
	case channels.Command:
		fmt.Fprintf(w, "command       %s\n", printable("/"+m.Name+" "+m.Args))
	case channels.Message:
		trust := "is trusted like its sender"
		if m.Forwarded != "" {
			trust = "counts as content of others"
		}
		fmt.Fprintf(w, "message       %s:\n", trust)
		for line := range strings.Lines(m.Text) {
			fmt.Fprintf(w, "  %s\n", printable(strings.TrimRight(line, "\r\n")))
		}
	default:
	}
}
