package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gatehouse-chat/gatehouse/gateway/operator"
)

var errEmpty = errors.New("nothing was entered")

// askSecret reads a value without showing it: by a prompt on a terminal, else
// from standard input. It is never taken from the arguments, which every user
// of the machine can see.
func askSecret(c *cobra.Command, prompt string) ([]byte, error) {
	in := c.InOrStdin()
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(c.ErrOrStderr(), prompt+" (it is not shown): ")
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(c.ErrOrStderr())
		return nonEmpty(b, err)
	}
	return nonEmpty(operator.ReadSecret(in))
}

func nonEmpty(b []byte, err error) ([]byte, error) {
	if err == nil && strings.TrimSpace(string(b)) == "" {
		return nil, errEmpty
	}
	return b, err
}

// ask reads a line, with a default.
func ask(c *cobra.Command, prompt, otherwise string) (string, error) {
	f, ok := c.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return otherwise, nil
	}
	fmt.Fprintf(c.ErrOrStderr(), "%s [%s]: ", prompt, otherwise)
	line, err := bufio.NewReader(f).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if line = strings.TrimSpace(line); line != "" {
		return line, nil
	}
	return otherwise, nil
}
