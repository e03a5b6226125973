package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

func memoryCommand(f *flags) *cobra.Command {
	forget := acting(f, "forget ID...", "Forget items for good", cobra.MinimumNArgs(1), nil,
		func(ctx context.Context, d *desk, a []string) (string, error) {
			n, err := d.ForgetMemory(ctx, a...)
			if err == nil && n == 0 {
				err = errors.New("there is no such item, or it is not yours to forget; see gatehouse memory list")
			}
			return fmt.Sprintf("%d forgotten", n), err
		})
	return inWorkspace(f, group("memory", "See and change what is remembered",
		memoryListCommand(f), memorySearchCommand(f), memoryAddCommand(f), forget, memoryExportCommand(f), memoryImportCommand(f), memoryReindexCommand(f)))
}

func memoryListCommand(f *flags) *cobra.Command {
	reach := ""
	c := listing(f, "List what is remembered: yours, and what is shared", "nothing is remembered", "ID | KIND | WHOSE | OF | TEXT",
		func(ctx context.Context, d *desk) (all []store.Listed, err error) {
			err = everything(ctx, d, memory.Reach(reach), func(page []store.Listed) error {
				all = append(all, page...)
				return nil
			})
			return all, err
		},
		func(l store.Listed) []string {
			return []string{l.ID, string(l.Kind), whose(l), l.At.Local().Format(time.DateOnly), brief(firstOf(l.Title, l.Text))}
		})
	bindOnly(c, &reach)
	return c
}

// everything hands all that is of a reach to each, in pages.
func everything(ctx context.Context, d *desk, reach memory.Reach, each func([]store.Listed) error) error {
	for after := ""; ; {
		page, err := d.Memory(ctx, store.Page{Reach: reach, After: after, Limit: 200})
		if err != nil || len(page) == 0 {
			return err
		}
		if err := each(page); err != nil {
			return err
		}
		after = page[len(page)-1].ID
	}
}

func bindOnly(c *cobra.Command, reach *string) {
	c.Flags().StringVar(reach, "reach", "", "only what is for: member (you alone), conversation, channel or workspace")
}

func whose(l store.Listed) string {
	switch l.Reach {
	case memory.Private:
		return "mine"
	case memory.Conversation, memory.Channel:
		return l.Where
	case memory.Workspace:
	}
	return "everybody's"
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// brief is a text in the width of a column.
func brief(text string) string {
	const width = 60
	line := []rune(printable(strings.Join(strings.Fields(text), " ")))
	if len(line) > width {
		return string(line[:width-1]) + "…"
	}
	return string(line)
}

func memorySearchCommand(f *flags) *cobra.Command {
	var q memory.Query
	var by, reach string
	asJSON := false
	c := &cobra.Command{
		Use: "search TEXT...", Short: "Search as a turn does, and see why each hit was found", Args: args(cobra.MinimumNArgs(1)),
		RunE: looking(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
			q.Text, q.Legs, q.Reach = strings.Join(a, " "), memory.Legs(by), memory.Reach(reach)
			hits, err := d.SearchMemory(ctx, q)
			if err != nil {
				return err
			}
			return printList(c.OutOrStdout(), asJSON, hits, "nothing is found", "SCORE | WORDS | VECTORS | ID | TEXT", func(h memory.Hit) []string {
				return []string{fmt.Sprintf("%.4f", h.Score), leg(h.Words), leg(h.Vector), h.ID, brief(h.Chunk.Text)}
			})
		}),
	}
	c.Flags().IntVar(&q.Limit, "limit", 10, "hits at most")
	c.Flags().StringVar(&by, "by", "", "search by words or by vectors alone")
	c.Flags().StringSliceVar(&q.Tags, "tag", nil, "only what has this tag; can be repeated")
	bindOnly(c, &reach)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// leg says at which place a leg found a hit, and with which score.
func leg(l memory.Leg) string {
	if l.Rank == 0 {
		return "-"
	}
	return fmt.Sprintf("%d. (%.2f)", l.Rank, l.Score)
}

func memoryAddCommand(f *flags) *cobra.Command {
	var it store.Listed
	var reach, kind string
	days := 0
	c := &cobra.Command{
		Use: "add TEXT...", Short: "Remember a text; - reads it from standard input", Args: args(cobra.MinimumNArgs(1)),
		Example: "  gatehouse memory add The boiler was serviced in May\n  gatehouse memory add --reach workspace --title 'House rules' - < rules.md",
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
			it.Text, it.Reach, it.Kind, it.At = strings.Join(a, " "), memory.Reach(reach), memory.Kind(kind), time.Now()
			if it.Text == "-" {
				b, err := io.ReadAll(io.LimitReader(c.InOrStdin(), maxImported))
				if err != nil {
					return err
				}
				it.Text = string(b)
			}
			if days > 0 {
				it.Until = it.At.AddDate(0, 0, days)
			}
			ids, err := d.KeepMemory(ctx, it)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "kept as %s\n", ids[0])
			return nil
		}),
	}
	bindReach(c, &reach)
	c.Flags().StringVar(&kind, "kind", string(memory.Note), "fact, note or document")
	c.Flags().StringVar(&it.Title, "title", "", "what it is called")
	c.Flags().StringSliceVar(&it.Tags, "tag", nil, "a tag to find it by; can be repeated")
	c.Flags().IntVar(&days, "days", 0, "forget it after so many days; 0: never")
	return c
}

func bindReach(c *cobra.Command, reach *string) {
	c.Flags().StringVar(reach, "reach", string(memory.Private), "who may find it: member (you alone) or workspace (everybody)")
}

// maxImported bounds one text.
const maxImported = 8 << 20

func memoryExportCommand(f *flags) *cobra.Command {
	to, reach := "", ""
	c := &cobra.Command{
		Use: "export", Short: "Write what is remembered, a JSON object a line", Args: args(cobra.NoArgs),
		Long: "Write what is remembered, a JSON object a line: yours, and for those who administer\nwhat is shared. What others keep for themselves is theirs to export.",
		RunE: looking(f, func(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
			if to == "" {
				_, err := export(ctx, d, memory.Reach(reach), c.OutOrStdout(), newBar(io.Discard, ""))
				return err
			}
			file, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			tell := newBar(c.ErrOrStderr(), "exported")
			n, err := export(ctx, d, memory.Reach(reach), file, tell)
			tell.end()
			if err = errors.Join(err, file.Close()); err != nil {
				return errors.Join(brokenOff(ctx, err), os.Remove(to)) // half of it would pass for the whole
			}
			fmt.Fprintf(c.OutOrStdout(), "%d items are in %s\n", n, to)
			return nil
		}),
	}
	c.Flags().StringVar(&to, "to", "", "the file to make; without it, standard output")
	bindOnly(c, &reach)
	return c
}

// export writes what is of a reach, and returns how many items that were.
func export(ctx context.Context, d *desk, reach memory.Reach, to io.Writer, tell *bar) (n int64, err error) {
	lines := json.NewEncoder(to)
	err = everything(ctx, d, reach, func(page []store.Listed) error {
		for i := range page {
			if err := lines.Encode(page[i]); err != nil {
				return err
			}
		}
		n += int64(len(page))
		tell.show(n, 0)
		return nil
	})
	return n, err
}

func memoryImportCommand(f *flags) *cobra.Command {
	var reach string
	var tags []string
	trusted := false
	c := &cobra.Command{
		Use: "import PATH...", Short: "Remember files, folders of them, or what was exported (.jsonl)", Args: args(cobra.MinimumNArgs(1)),
		Long: "Remember files: text, Markdown, HTML, PDF and DOCX, whole folders of them, or what\n`gatehouse memory export` wrote. A file that was imported before is replaced.\n\n" +
			"What stands in a file counts as untrusted: a turn that recalls it asks a person before\nit does anything outward. --trusted says that you vouch for all of it.",
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
			i := importing{desk: d, tell: newBar(c.ErrOrStderr(), "imported"), reach: memory.Reach(reach), tags: tags, label: memory.Untrusted}
			if trusted {
				i.label = memory.Trusted
			}
			err := i.paths(ctx, a)
			i.tell.end()
			for _, s := range i.skipped {
				fmt.Fprintln(c.ErrOrStderr(), "not imported:", s)
			}
			if err != nil {
				return i.broken(ctx, err)
			}
			fmt.Fprintf(c.OutOrStdout(), "%d imported\n", i.done)
			return nil
		}),
	}
	bindReach(c, &reach)
	c.Flags().StringSliceVar(&tags, "tag", nil, "a tag for all of them; can be repeated")
	c.Flags().BoolVar(&trusted, "trusted", false, "you vouch for what stands in the files")
	return c
}

func memoryReindexCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "reindex", Short: "Make the vectors that are missing, and wait for it", Args: args(cobra.NoArgs),
		Long: "Make the vectors that are missing, as after a change of the embedder, and wait until\nall are there. A running gateway does so by itself; then this only shows how far it is.",
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, _ []string) error {
			tell := newBar(c.ErrOrStderr(), "of the chunks have a vector")
			p, err := reindex(ctx, d, tell)
			tell.end()
			switch {
			case ctx.Err() != nil:
				return errors.New("interrupted; the gateway goes on where it was, or the next reindex")
			case err != nil:
				return err
			case p.Model == "":
				fmt.Fprintln(c.OutOrStdout(), "no embedder is configured; everything is found by its words")
			default:
				fmt.Fprintf(c.OutOrStdout(), "all %d chunks have a vector of %s\n", p.All, p.Model)
				if p.Compared > 0 {
					fmt.Fprintf(c.OutOrStdout(), "%d of them wait for an index, which the gateway makes while it runs; searches find them, and take longer\n", p.Compared)
				}
			}
			return nil
		}),
	}
}

// reindex waits until every chunk has its vector, and returns how far it came.
func reindex(ctx context.Context, d *desk, tell *bar) (p store.Progress, err error) {
	for {
		now, err := d.ReindexMemory(ctx)
		if err != nil {
			return p, err
		}
		if p = now; p.Model == "" {
			return p, nil
		}
		tell.show(p.Done, p.All)
		if p.Done >= p.All {
			return p, nil
		}
		select {
		case <-ctx.Done():
			return p, ctx.Err()
		case <-time.After(barEvery):
		}
	}
}

// exported reads what was exported.
func exported(r io.Reader, each func(store.Listed) error) error {
	in := bufio.NewScanner(r)
	in.Buffer(nil, 2*maxImported)
	for n := 1; in.Scan(); n++ {
		if strings.TrimSpace(in.Text()) == "" {
			continue
		}
		var l store.Listed
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return fmt.Errorf("line %d is not of an export: %w", n, err)
		}
		if err := each(l); err != nil {
			return err
		}
	}
	return in.Err()
}
