package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/agent/provider"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/gateway/ingress/api"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/kek"
)

// finding is what the doctor says of one thing.
type finding struct {
	what string
	bad  string // "" when all is well
	fix  string
	note string // shown when all is well
	mild bool   // a warning: it works all the same
	hint bool   // note is the platform's advice, and nothing that was checked
}

var errUnwell = errors.New("the doctor found something to mend")

func doctorCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Check everything that goes wrong at first, and say the fix", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			all := examine(c.Context(), *f)
			return report(c.OutOrStdout(), all)
		},
	}
}

func report(out io.Writer, all []finding) error {
	unwell := false
	for _, x := range all {
		switch {
		case x.bad == "":
			mark := "ok  "
			if x.hint {
				mark = "note"
			}
			fmt.Fprintf(out, "%s  %s", mark, x.what)
			if x.note != "" {
				fmt.Fprintf(out, ": %s", x.note)
			}
			fmt.Fprintln(out)
		default:
			mark := "FAIL "
			if x.mild {
				mark = "warn "
			}
			unwell = unwell || !x.mild
			fmt.Fprintf(out, "%s %s: %s\n", mark, x.what, x.bad)
			if x.fix != "" {
				fmt.Fprintf(out, "      %s\n", x.fix)
			}
		}
	}
	if unwell {
		return errUnwell
	}
	return nil
}

func examine(ctx context.Context, f flags) []finding {
	s := &settings{flags: f, getenv: getenv, drivers: allDrivers()}
	s.path, s.explicit = f.path(getenv)
	cfg, faults, err := s.read()
	all := examineConfig(s.path, faults, err)
	if err != nil {
		return all
	}
	all = append(all, examineFolder(cfg.Data), examineKey(cfg), examineSpace(cfg.Data))
	all = append(all, examineReach(cfg, time.Now())...)
	all = append(all, examineProxyLogin(ctx, cfg)...)
	d, err := openToExamine(ctx, f, cfg)
	if silent := (*kek.Silence)(nil); errors.As(err, &silent) {
		return append(all, finding{what: "vault key", bad: fmt.Sprintf("%s; it did not answer within %s", silent.Keyring, silent.After), fix: silent.Fix()})
	}
	if err != nil {
		return append(all, finding{what: "gateway", bad: err.Error(), fix: "start it with `gatehouse run`, or stop what else uses the data folder"})
	}
	defer d.close() //nolint:errcheck // only looked at
	all = append(all, examineGateway(d, cfg)...)
	st, err := d.Status(ctx)
	if err != nil {
		return append(all, finding{what: "status", bad: err.Error()})
	}
	all = append(all, examineModels(ctx, d, st)...)
	all = append(all, examineSpending(st), examineAudit(ctx, d))
	all = append(all, examineChannels(ctx, d, st)...)
	return append(all, examineDead(ctx, d))
}

// openToExamine finds the gateway. Where none was ever started, it is one in a
// folder that is removed again: the doctor says what the first start would find,
// and makes nothing.
func openToExamine(ctx context.Context, f flags, cfg config.Config) (*desk, error) {
	if begun(cfg) == nil || cfg.Store != "sqlite" || cfg.Key.Source != config.KeyFile {
		return openDesk(ctx, f)
	}
	dir, err := os.MkdirTemp("", "gatehouse-doctor-")
	if err != nil {
		return nil, fmt.Errorf("try the first start: %w", err)
	}
	f.data, f.key = filepath.Join(dir, "data"), filepath.Join(dir, "key")
	var d *desk
	if err = os.Mkdir(f.data, 0o700); err == nil {
		d, err = openDesk(ctx, f)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	end := d.close
	d.close = func() error { return errors.Join(end(), os.RemoveAll(dir)) }
	return d, nil
}

func examineConfig(path string, faults config.Faults, err error) []finding {
	if err != nil && len(faults.Errors()) == 0 {
		return []finding{{what: "configuration", bad: err.Error(), fix: "check the path and its permissions"}}
	}
	var all []finding
	for _, x := range faults {
		all = append(all, finding{what: "configuration " + path, bad: strings.TrimPrefix(x.String(), "warning: "), mild: x.Warning})
	}
	if len(faults.Errors()) == 0 {
		note := path
		if _, err := os.Stat(path); err != nil {
			note = "none yet; the defaults are in force"
		}
		all = append(all, finding{what: "configuration", note: note})
	}
	return all
}

func examineFolder(dir string) finding {
	x := finding{what: "data folder", note: dir}
	i, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		x.note = "will be made at " + dir
	case err != nil:
		x.bad = err.Error()
	case !i.IsDir():
		x.bad, x.fix = dir+" is not a folder", "name another with `data:` or --data"
	case i.Mode().Perm()&0o077 != 0:
		x.bad, x.fix = "other users can look into it", "chmod 700 "+dir
	default:
		probe, err := os.CreateTemp(dir, ".doctor-*")
		if err != nil {
			x.bad, x.fix = err.Error(), "make the folder writable for this user"
			break
		}
		_ = probe.Close()
		_ = os.Remove(probe.Name())
	}
	return x
}

func examineKey(c config.Config) finding {
	if c.Key.Source != config.KeyFile {
		return finding{what: "vault key", note: c.Key.Source + " (tried when the vault opens)"}
	}
	path := c.Key.Path
	x := finding{what: "vault key", note: path}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		x.note = "will be made at " + path
		if _, err := os.Stat(filepath.Join(c.Data, "gatehouse.db")); err == nil {
			x.bad = "there is a database but no key at " + path
			x.fix = "put the key back from where you keep it; without it the stored secrets cannot be read"
		}
		return x
	}
	if err := vault.NewKeyFile(path, c.Data).Check(); err != nil {
		x.bad, x.fix = err.Error(), "chmod 600 "+path
	}
	return x
}

// leastSpace is below which a database may stop accepting messages soon.
const leastSpace = 200 << 20

func examineSpace(dir string) finding {
	x := finding{what: "disk space"}
	free, err := freeSpace(dir)
	switch {
	case err != nil:
		x.note = "cannot be told"
	case free < leastSpace:
		x.bad, x.fix = fmt.Sprintf("%d MB are left", free>>20), "make room, or move the data folder"
	default:
		x.note = fmt.Sprintf("%d GB free", free>>30)
	}
	return x
}

func examineGateway(d *desk, c config.Config) []finding {
	if d.running {
		return []finding{{what: "gateway", note: "running"}}
	}
	all := []finding{{what: "gateway", bad: "not running", fix: "start it with `gatehouse run`, or for good with `gatehouse service install`", mild: true}}
	for _, a := range []struct{ key, addr string }{{"listen", c.Listen}, {"admin", c.Admin}} {
		x := finding{what: "address " + a.addr}
		l, err := net.Listen("tcp", a.addr) //nolint:noctx // closed at once
		if err != nil {
			x.bad, x.fix = err.Error(), fmt.Sprintf("stop what uses it, or name another under `%s:`", a.key)
		} else {
			_ = l.Close()
		}
		all = append(all, x)
	}
	return all
}

// examineModels asks every configured model's provider whether its key is good.
func examineModels(ctx context.Context, d *desk, s operator.Status) []finding {
	var all []finding
	for _, m := range s.Models {
		if m.Provider != provider.None {
			all = append(all, examineModel(ctx, d, m))
		}
	}
	if len(all) == 0 {
		return []finding{{
			what: "model", bad: "there is none, so only commands are answered",
			fix: "`gatehouse models set openai` (or another provider), or the console under Models",
		}}
	}
	return all
}

func examineModel(ctx context.Context, d *desk, m operator.Model) finding {
	x := finding{what: "model " + m.Name, note: fmt.Sprintf("%s (%s) answers", m.Model, m.Provider)}
	known, err := d.CheckModel(ctx, m, "")
	switch {
	case err != nil:
		x.bad = failure(err)
		if !strings.Contains(x.bad, "cannot be reached") {
			x.fix = "`gatehouse models set " + m.Provider + "` asks for a key and tries it"
		}
	case len(known) > 0 && m.Model != "" && !slices.Contains(known, m.Model):
		x.bad, x.fix, x.mild = fmt.Sprintf("%s does not list %q", m.Provider, m.Model), "`gatehouse models set "+m.Provider+"` lists what there is", true
	}
	return x
}

func examineSpending(s operator.Status) finding {
	x := finding{what: "spending", note: fmt.Sprintf("about $%.2f today of $%.2f", s.Spent.USD, s.Cap)}
	switch {
	case s.Cap < 0:
		x.bad, x.fix, x.mild = "there is no daily cap", "set agent.daily_spend", true
	case s.Spent.USD >= s.Cap:
		x.bad, x.fix = fmt.Sprintf("today's cap of $%.2f is reached", s.Cap), "wait until midnight UTC, or raise agent.daily_spend"
	}
	return x
}

// probeFor bounds the question to a platform.
const probeFor = 15 * time.Second

func examineChannels(ctx context.Context, d *desk, s operator.Status) []finding {
	var all []finding
	n := 0
	for _, c := range s.Channels {
		if c.Adapter == consoleID {
			continue
		}
		n++
		x := finding{what: "channel " + string(c.ID), bad: c.Error, fix: c.Fix}
		probe, cancel := context.WithTimeout(ctx, probeFor)
		who, err := d.ProbeChannel(probe, c.ID)
		cancel()
		switch {
		case err != nil:
			x.bad = failure(err)
			if e := (*api.Error)(nil); errors.As(err, &e) && e.Kind == "channel_"+string(channels.Unauthorized) {
				x.fix = fmt.Sprintf("`gatehouse secrets set %s-token` takes another token", strings.ToLower(string(c.ID)))
			}
		case x.bad == "":
			x.note = "works as @" + printable(who.Handle)
		}
		all = append(all, x)
		for _, note := range who.Notes {
			all = append(all, finding{what: "channel " + string(c.ID), note: printable(note), hint: true})
		}
	}
	if n == 0 {
		all = append(all, finding{what: "channels", bad: "only the console is connected", fix: "`gatehouse channels add telegram`", mild: true})
	}
	return all
}

func examineDead(ctx context.Context, d *desk) finding {
	x := finding{what: "dead letters", note: "none"}
	all, err := d.DeadLetters(ctx, "", 0)
	switch {
	case err != nil:
		x.bad = err.Error()
	case len(all) > 0:
		x.bad, x.fix, x.mild = fmt.Sprintf("%d set aside", len(all)), "look at them with `gatehouse dead list`", true
	}
	return x
}
