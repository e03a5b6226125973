package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
)

// unit describes how the gateway is run in the background by the system.
type unit struct {
	file    string
	text    []byte
	start   [][]string
	stop    [][]string
	explain string
}

func serviceCommand(f *flags) *cobra.Command {
	dry := false
	install := &cobra.Command{
		Use: "install", Short: "Run the gateway in the background from now on", Args: args(cobra.NoArgs),
		Long: "Run the gateway in the background, now and after every start of the machine:\n" +
			"with systemd (for this user; for the whole machine when called as root) or with\n" +
			"launchd on macOS.",
		RunE: func(c *cobra.Command, _ []string) error {
			u, err := newUnit(*f)
			if err != nil {
				return err
			}
			if dry {
				fmt.Fprintf(c.OutOrStdout(), "# %s\n%s", u.file, u.text)
				return nil
			}
			return u.install(c.Context(), c)
		},
	}
	install.Flags().BoolVar(&dry, "dry-run", false, "print what would be installed")
	remove := &cobra.Command{
		Use: "remove", Short: "No longer run it in the background; the data stays", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			u, err := newUnit(*f)
			if err != nil {
				return err
			}
			return u.remove(c.Context(), c)
		},
	}
	return group("service", "Run the gateway in the background", install, remove)
}

func newUnit(f flags) (unit, error) {
	exe, err := os.Executable()
	if err != nil {
		return unit{}, fmt.Errorf("find this program: %w", err)
	}
	if exe, err = filepath.EvalSymlinks(exe); err != nil {
		return unit{}, fmt.Errorf("find this program: %w", err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return unit{}, err
	}
	call, err := f.call(exe)
	if err != nil {
		return unit{}, err
	}
	switch runtime.GOOS {
	case "linux":
		return systemd(home, call, os.Getuid() == 0), nil
	case "darwin":
		return launchd(home, call, os.Getuid()), nil
	}
	return unit{}, fmt.Errorf("there is no background service for %s yet; run `gatehouse run` by the system's own means: %w", runtime.GOOS, errors.ErrUnsupported)
}

// call is the command line that starts the gateway with the same flags, its
// paths made absolute.
func (f flags) call(exe string) ([]string, error) {
	out := []string{exe, "run"}
	for _, o := range []struct {
		name, value string
		path        bool
	}{
		{"config", f.config, true},
		{"data", f.data, true},
		{"key", f.key, true},
		{"store", f.store, false},
		{"listen", f.listen, false},
		{"admin", f.admin, false},
	} {
		if o.value == "" {
			continue
		}
		v := o.value
		if o.path {
			var err error
			if v, err = filepath.Abs(v); err != nil {
				return nil, err
			}
		}
		out = append(out, "--"+o.name, v)
	}
	return out, nil
}

func systemd(home string, call []string, root bool) unit {
	dir, ctl, target := filepath.Join(home, ".config/systemd/user"), []string{"systemctl", "--user"}, "default.target"
	if root {
		dir, ctl, target = "/etc/systemd/system", []string{"systemctl"}, "multi-user.target"
	}
	quoted := make([]string, len(call))
	for i, a := range call {
		quoted[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`).Replace(a) + `"`
	}
	text := `[Unit]
Description=Gatehouse chat gateway
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=` + strings.Join(quoted, " ") + `
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=2
TimeoutStopSec=30
UMask=0077
NoNewPrivileges=true
PrivateTmp=true
ProtectSystem=full
RestrictSUIDSGID=true

[Install]
WantedBy=` + target + "\n"
	with := func(a ...string) []string { return append(append([]string{}, ctl...), a...) }
	u := unit{
		file: filepath.Join(dir, "gatehouse.service"), text: []byte(text),
		start: [][]string{with("daemon-reload"), with("enable", "--now", "gatehouse.service")},
		stop:  [][]string{with("disable", "--now", "gatehouse.service")},
	}
	if !root {
		u.explain = "To keep it running while you are logged out: loginctl enable-linger"
	}
	return u
}

func launchd(home string, call []string, uid int) unit {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key>
	<string>chat.gatehouse</string>
	<key>ProgramArguments</key>
	<array>
`)
	for _, a := range call {
		b.WriteString("\t\t<string>")
		_ = xml.EscapeText(&b, []byte(a)) // a buffer takes everything
		b.WriteString("</string>\n")
	}
	b.WriteString(`	</array>
	<key>RunAtLoad</key>
	<true/>
	<key>KeepAlive</key>
	<true/>
	<key>Umask</key>
	<integer>63</integer>
</dict>
</plist>
`)
	file := filepath.Join(home, "Library/LaunchAgents/chat.gatehouse.plist")
	domain := fmt.Sprintf("gui/%d", uid)
	return unit{
		file: file, text: b.Bytes(),
		start: [][]string{{"launchctl", "bootstrap", domain, file}},
		stop:  [][]string{{"launchctl", "bootout", domain + "/chat.gatehouse"}},
	}
}

func (u unit) install(ctx context.Context, c *cobra.Command) error {
	if err := os.MkdirAll(filepath.Dir(u.file), 0o755); err != nil { //nolint:gosec // the system reads it
		return fmt.Errorf("install the service: %w", err)
	}
	if err := os.WriteFile(u.file, u.text, 0o644); err != nil { //nolint:gosec // the system reads it
		return fmt.Errorf("install the service: %w", err)
	}
	if err := u.call(ctx, u.start); err != nil {
		return fmt.Errorf("%s is written, but could not be started: %w", u.file, err)
	}
	fmt.Fprintf(c.OutOrStdout(), "installed and started (%s)\n", u.file)
	if u.explain != "" {
		fmt.Fprintln(c.OutOrStdout(), u.explain)
	}
	return nil
}

func (u unit) remove(ctx context.Context, c *cobra.Command) error {
	if _, err := os.Stat(u.file); errors.Is(err, os.ErrNotExist) {
		fmt.Fprintln(c.OutOrStdout(), "it is not installed")
		return nil
	}
	stopErr := u.call(ctx, u.stop)
	if err := os.Remove(u.file); err != nil {
		return fmt.Errorf("remove the service: %w", err)
	}
	fmt.Fprintln(c.OutOrStdout(), "removed; the data folder and the configuration stay")
	return stopErr
}

func (u unit) call(ctx context.Context, all [][]string) error {
	for _, a := range all {
		out, err := exec.CommandContext(ctx, a[0], a[1:]...).CombinedOutput() //nolint:gosec // fixed words and our own file
		if err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(a, " "), err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}
