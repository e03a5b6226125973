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

	"github.com/gatehouse-chat/gatehouse/agent/provider"
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
			u, err := newUnit(*f, getenv)
			if err != nil {
				return err
			}
			if dry {
				fmt.Fprintf(c.OutOrStdout(), "# %s\n%s", u.file, u.text)
				return nil
			}
			if err := u.install(c.Context(), c); err != nil {
				return err
			}
			for _, note := range serviceNotes(*f, getenv) {
				fmt.Fprintln(c.OutOrStdout(), "note:", note)
			}
			return nil
		},
	}
	install.Flags().BoolVar(&dry, "dry-run", false, "print what would be installed")
	remove := &cobra.Command{
		Use: "remove", Short: "No longer run it in the background; the data stays", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			u, err := newUnit(*f, getenv)
			if err != nil {
				return err
			}
			return u.remove(c.Context(), c)
		},
	}
	return group("service", "Run the gateway in the background", install, remove)
}

// background is how the system starts the gateway.
type background struct {
	call []string
	env  [][2]string
}

func newUnit(f flags, getenv func(string) (string, bool)) (unit, error) {
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
	b, err := f.background(exe, home, getenv)
	if err != nil {
		return unit{}, err
	}
	switch runtime.GOOS {
	case "linux":
		return systemd(home, b, os.Getuid() == 0), nil
	case "darwin":
		return launchd(home, b, os.Getuid()), nil
	}
	return unit{}, fmt.Errorf("there is no background service for %s yet; run `gatehouse run` by the system's own means: %w", runtime.GOOS, errors.ErrUnsupported)
}

// background starts the gateway with the flags and the environment of now, its
// paths made absolute. The store goes into the environment, since its URL may
// hold a password, and arguments are seen by every user of the machine.
func (f flags) background(exe, home string, getenv func(string) (string, bool)) (background, error) {
	out := background{call: []string{exe, "run"}, env: [][2]string{{"HOME", home}}}
	for _, o := range []struct {
		name, value, env string
		path             bool
	}{
		{"config", f.config, "GATEHOUSE_CONFIG", true},
		{"data", f.data, "GATEHOUSE_DATA", true},
		{"key", f.key, "GATEHOUSE_KEY", true},
		{"listen", f.listen, "GATEHOUSE_LISTEN", false},
		{"admin", f.admin, "GATEHOUSE_ADMIN", false},
	} {
		v := o.value
		if v == "" {
			v, _ = getenv(o.env)
		}
		if v == "" {
			continue
		}
		if o.path {
			var err error
			if v, err = filepath.Abs(v); err != nil {
				return background{}, err
			}
		}
		out.call = append(out.call, "--"+o.name, v)
	}
	for _, name := range []string{"XDG_CONFIG_HOME", "XDG_DATA_HOME", "OLLAMA_HOST", "GATEHOUSE_STORE"} {
		v, _ := getenv(name)
		if name == "GATEHOUSE_STORE" && f.store != "" {
			v = f.store
		}
		if v != "" {
			out.env = append(out.env, [2]string{name, v})
		}
	}
	return out, nil
}

// serviceNotes says what the service does not take over from this terminal.
func serviceNotes(f flags, getenv func(string) (string, bool)) []string {
	s := &settings{flags: f, getenv: getenv, drivers: allDrivers()}
	s.path, s.explicit = f.path(getenv)
	cfg, _, err := s.read()
	if err != nil {
		return []string{"the configuration has mistakes, so it cannot start; see `gatehouse config check`"}
	}
	var notes []string
	for _, k := range provider.Kinds() {
		if v, _ := getenv(k.Env); k.Env != "" && v != "" && len(cfg.Models) == 0 {
			notes = append(notes, fmt.Sprintf("it does not see %s; `gatehouse models set %s` keeps the key in the vault", k.Env, k.Name))
		}
	}
	return notes
}

// quoteUnit writes a word as systemd reads it.
func quoteUnit(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, `%`, `%%`, `$`, `$$`).Replace(s) + `"`
}

func systemd(home string, b background, root bool) unit {
	dir, ctl, target := filepath.Join(home, ".config/systemd/user"), []string{"systemctl", "--user"}, "default.target"
	if root {
		dir, ctl, target = "/etc/systemd/system", []string{"systemctl"}, "multi-user.target"
	}
	hardening := "" // what follows needs rights that a user's own units do not have
	if root {
		// Of root's rights it keeps a port below 1024 and folders of other users.
		hardening = `CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_DAC_OVERRIDE
PrivateDevices=true
ProtectHostname=true
ProtectProc=invisible
ProtectKernelTunables=true
ProtectKernelModules=true
ProtectKernelLogs=true
ProtectControlGroups=true
ProtectClock=true
`
	}
	quoted := make([]string, len(b.call))
	for i, a := range b.call {
		quoted[i] = quoteUnit(a)
	}
	// A $ means nothing in the name of the program either, where systemd would
	// take two of them as they are.
	quoted[0] = strings.ReplaceAll(quoted[0], "$$", "$")
	var env strings.Builder
	for _, e := range b.env {
		// A $ means nothing in an environment's line.
		fmt.Fprintf(&env, "Environment=%s\n", strings.ReplaceAll(quoteUnit(e[0]+"="+e[1]), "$$", "$"))
	}
	text := `[Unit]
Description=Gatehouse chat gateway
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
` + env.String() + `ExecStart=` + strings.Join(quoted, " ") + `
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=2
TimeoutStopSec=30
UMask=0077
NoNewPrivileges=true
PrivateTmp=true
ProtectSystem=true
RestrictSUIDSGID=true
LockPersonality=true
RestrictRealtime=true
RestrictNamespaces=true
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
` + hardening + `
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

// launchd makes the user's agent, or root's daemon. Its keys are those of
// launchd.plist(5).
func launchd(home string, g background, uid int) unit {
	dir, logs, domain := filepath.Join(home, "Library/LaunchAgents"), filepath.Join(home, "Library/Logs"), fmt.Sprintf("gui/%d", uid)
	if uid == 0 {
		dir, logs, domain = "/Library/LaunchDaemons", "/Library/Logs", "system"
	}
	log := filepath.Join(logs, "gatehouse.log")
	var b bytes.Buffer
	word := func(tag, s string) {
		b.WriteString("\t\t<" + tag + ">")
		_ = xml.EscapeText(&b, []byte(s)) // a buffer takes everything
		b.WriteString("</" + tag + ">\n")
	}
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key>
	<string>chat.gatehouse</string>
	<key>ProgramArguments</key>
	<array>
`)
	for _, a := range g.call {
		word("string", a)
	}
	b.WriteString(`	</array>
	<key>EnvironmentVariables</key>
	<dict>
`)
	for _, e := range g.env {
		word("key", e[0])
		word("string", e[1])
	}
	b.WriteString(`	</dict>
	<key>RunAtLoad</key>
	<true/>
	<key>KeepAlive</key>
	<true/>
	<key>Umask</key>
	<integer>63</integer>
	<key>ProcessType</key>
	<string>Interactive</string>
	<key>ExitTimeOut</key>
	<integer>30</integer>
	<key>StandardErrorPath</key>
	<string>`) // what is not named is throttled, is killed after 20 s, and loses its log
	_ = xml.EscapeText(&b, []byte(log)) // a buffer takes everything
	b.WriteString(`</string>
</dict>
</plist>
`)
	file := filepath.Join(dir, "chat.gatehouse.plist")
	return unit{
		file: file, text: b.Bytes(), explain: "Its log: " + log,
		start: [][]string{{"launchctl", "bootstrap", domain, file}},
		stop:  [][]string{{"launchctl", "bootout", domain + "/chat.gatehouse"}},
	}
}

func (u unit) install(ctx context.Context, c *cobra.Command) error {
	if _, err := exec.LookPath(u.start[0][0]); err != nil {
		return fmt.Errorf("there is no %s here; let the system's own means run `%s`: %w", u.start[0][0], "gatehouse run", errors.ErrUnsupported)
	}
	if err := os.MkdirAll(filepath.Dir(u.file), 0o755); err != nil { //nolint:gosec // the system reads it
		return fmt.Errorf("install the service: %w", err)
	}
	if err := os.WriteFile(u.file, u.text, 0o600); err != nil {
		return fmt.Errorf("install the service: %w", err)
	}
	if err := u.call(ctx, u.start); err != nil {
		return fmt.Errorf("%s is written, but could not be started (if it was installed before, `gatehouse service remove` takes that away first): %w", u.file, err)
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
