package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gatehouse-chat/gatehouse/gateway/operator"
)

var (
	errEmpty   = errors.New("nothing was entered")
	errGivenUp = errors.New("given up; nothing was changed")
)

// askSecret reads a value without showing it: by a prompt on a terminal, else
// from standard input. It is never taken from the arguments, which every user
// of the machine can see.
func askSecret(c *cobra.Command, prompt string) ([]byte, error) {
	return nonEmpty(askOptionalSecret(c, prompt+" (it is not shown): "))
}

// askOptionalSecret does the same for a value that may be empty.
func askOptionalSecret(c *cobra.Command, prompt string) ([]byte, error) {
	f, ok := c.InOrStdin().(*os.File)
	if !ok || !isTerminal(f) {
		return operator.ReadSecret(c.InOrStdin())
	}
	return promptHidden(c.Context(), c.ErrOrStderr(), f, prompt)
}

// promptHidden reads a line of a terminal without showing it. An interrupt, or
// Ctrl-D, gives up; the terminal is then as it was.
func promptHidden(ctx context.Context, tell io.Writer, f *os.File, prompt string) ([]byte, error) {
	fd := int(f.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("prepare the terminal: %w", err)
	}
	defer term.Restore(fd, before) //nolint:errcheck // there is no other terminal to go to
	if err := hideTyping(fd); err != nil {
		return nil, fmt.Errorf("prepare the terminal: %w", err)
	}
	fmt.Fprint(tell, prompt)
	defer fmt.Fprintln(tell)
	type read struct {
		value []byte
		err   error
	}
	done := make(chan read, 1)
	go func() {
		b, err := readHidden(f)
		done <- read{b, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done(): // an interrupt, while the terminal shows nothing that is typed
		return nil, errGivenUp
	}
}

// readHidden reads a line of a terminal that shows nothing. Ctrl-D gives up; after
// some characters it ends the line.
func readHidden(f *os.File) ([]byte, error) {
	b, err := bufio.NewReader(f).ReadBytes('\n')
	switch {
	case errors.Is(err, io.EOF) && len(b) == 0:
		return nil, errGivenUp
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	}
	return bytes.TrimRight(b, "\r\n"), nil
}

func nonEmpty(b []byte, err error) ([]byte, error) {
	if err == nil && strings.TrimSpace(string(b)) == "" {
		return nil, errEmpty
	}
	return b, err
}

// ask reads a line, with a default.
func ask(c *cobra.Command, prompt, otherwise string) (string, error) {
	if !isTerminal(c.InOrStdin()) {
		return otherwise, nil
	}
	if otherwise != "" {
		prompt += " [" + otherwise + "]"
	}
	fmt.Fprint(c.ErrOrStderr(), prompt+": ")
	type read struct {
		line string
		err  error
	}
	done := make(chan read, 1)
	go func() {
		line, err := bufio.NewReader(c.InOrStdin()).ReadString('\n')
		done <- read{strings.TrimSpace(line), err}
	}()
	select {
	case <-c.Context().Done():
		fmt.Fprintln(c.ErrOrStderr())
		return "", errGivenUp
	case r := <-done:
		if errors.Is(r.err, io.EOF) && r.line == "" {
			fmt.Fprintln(c.ErrOrStderr())
			return "", errGivenUp
		}
		if r.err != nil && !errors.Is(r.err, io.EOF) {
			return "", r.err
		}
		if r.line != "" {
			return r.line, nil
		}
		return otherwise, nil
	}
}
