package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// writeUsage writes what follows a command's description in its help: the call, an
// example, what is below it and its flags. Those of every command stand in the
// help of gatehouse alone.
func writeUsage(c *cobra.Command) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s\n", callOf(c))
	if c.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", c.Example)
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprint(&b, "\nCommands:\n")
		for _, s := range c.Commands() {
			if s.IsAvailableCommand() || s.Name() == "help" {
				fmt.Fprintf(&b, "  %-*s %s\n", s.NamePadding(), s.Name(), s.Short)
			}
		}
	}
	writeFlags(&b, c)
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\nMore about one of them: %s COMMAND --help\n", c.CommandPath())
	}
	_, err := io.WriteString(c.OutOrStderr(), b.String())
	return err
}

// callOf is the line that shows a call.
func callOf(c *cobra.Command) string {
	if c.HasAvailableSubCommands() {
		return c.CommandPath() + " COMMAND"
	}
	call := c.Use
	if c.HasParent() {
		call = c.Parent().CommandPath() + " " + call
	}
	own := false
	c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) { own = own || f.Name != "help" && !f.Hidden })
	if own && !strings.Contains(call, "--") {
		call += " [FLAGS]"
	}
	return call
}

// writeFlags shows the flags of a command, those of its group among them.
func writeFlags(b *strings.Builder, c *cobra.Command) {
	shown := pflag.NewFlagSet("", pflag.ContinueOnError)
	shown.AddFlagSet(c.NonInheritedFlags())
	for p := c.Parent(); p != nil && p.HasParent(); p = p.Parent() {
		shown.AddFlagSet(p.PersistentFlags())
	}
	fmt.Fprintf(b, "\nFlags:\n%s", shown.FlagUsages())
	if c.HasParent() {
		fmt.Fprint(b, "\nEvery command also takes --config, --data, --key, --store, --listen and --admin;\nsee gatehouse --help.\n")
	}
}

// withExamples gives each command that has none the example of the table.
func withExamples(c *cobra.Command) {
	for _, s := range c.Commands() {
		withExamples(s)
	}
	if lines, ok := examples[strings.TrimPrefix(c.CommandPath(), "gatehouse ")]; ok && !c.HasExample() {
		c.Example = "  gatehouse " + strings.Join(lines, "\n  gatehouse ")
	}
}

// examples are for commands whose call needs no more words than this.
var examples = map[string][]string{
	"adapter build":                {"adapter build", "adapter build ~/src/mychat"},
	"adapter dev":                  {"adapter dev --watch", "adapter dev --watch --install"},
	"adapter inspect":              {"adapter inspect mychat-1.0.0.gwm", "adapter inspect mychat"},
	"adapter keygen":               {"adapter keygen"},
	"adapter list":                 {"adapter list"},
	"adapter pack":                 {"adapter pack", "adapter pack ~/src/mychat -o mychat.gwm"},
	"adapter practice":             {"adapter practice"},
	"adapter remove":               {"adapter remove mychat"},
	"adapter rollback":             {"adapter rollback mychat", "adapter rollback mychat 1.0.0"},
	"adapter sign":                 {"adapter sign mychat-1.0.0.gwm"},
	"adapter test":                 {"adapter test", "adapter test -v mychat-1.0.0.gwm"},
	"adapter trust list":           {"adapter trust list"},
	"adapter trust revoke":         {"adapter trust revoke ed25519:oFh0..."},
	"adapter upgrade":              {"adapter upgrade mychat-1.1.0.gwm"},
	"approvals allow":              {"approvals allow q-7k2pxw", "approvals allow q-7k2pxw --for conversation"},
	"approvals deny":               {"approvals deny q-7k2pxw"},
	"approvals list":               {"approvals list"},
	"approvals revoke":             {"approvals revoke 3f9c0a71"},
	"audit export":                 {"audit export --since 720h --to audit.jsonl"},
	"audit list":                   {"audit list --last 20", "audit list --kind egress --failed --since 24h"},
	"audit verify":                 {"audit verify"},
	"channels connect":             {"channels connect telegram"},
	"channels list":                {"channels list", "channels list --probe"},
	"channels pause":               {"channels pause telegram"},
	"channels remove":              {"channels remove telegram"},
	"channels resume":              {"channels resume telegram"},
	"config check":                 {"config check", "config check new.yaml --strict"},
	"config path":                  {"config path"},
	"config reload":                {"config reload"},
	"config schema":                {"config schema >gatehouse.schema.json"},
	"dead drop":                    {"dead drop 17"},
	"dead list":                    {"dead list", "dead list --queue outbox"},
	"dead replay":                  {"dead replay 17 18"},
	"dead show":                    {"dead show 17"},
	"doctor":                       {"doctor"},
	"identities link":              {"identities link"},
	"identities list":              {"identities list"},
	"identities unlink":            {"identities unlink telegram 123456789"},
	"key rotate":                   {"key rotate", "key rotate --data"},
	"later cancel":                 {"later cancel 3f9c0a71"},
	"later list":                   {"later list"},
	"members invitations list":     {"members invitations list"},
	"members invitations withdraw": {"members invitations withdraw 3f9c0a71"},
	"members list":                 {"members list", "members list --workspace guild --json"},
	"members remove":               {"members remove m-7k2p"},
	"members rename":               {"members rename m-7k2p Anna"},
	"members role":                 {"members role m-7k2p approver"},
	"members show":                 {"members show m-7k2p"},
	"memory export":                {"memory export --to memory.jsonl"},
	"memory forget":                {"memory forget xkrys5lmh7wf"},
	"memory import":                {"memory import ~/notes --reach workspace", "memory import memory.jsonl"},
	"memory list":                  {"memory list"},
	"memory reindex":               {"memory reindex"},
	"memory search":                {"memory search when was the boiler serviced"},
	"models list":                  {"models list"},
	"pair approve":                 {"pair approve 8RHLFPX4"},
	"pair deny":                    {"pair deny 8RHLFPX4"},
	"pair list":                    {"pair list"},
	"pause":                        {"pause"},
	"policy check":                 {"policy check", "policy check new-policy.yaml"},
	"policy test":                  {"policy test", "policy test new-policy.yaml"},
	"restore":                      {"restore monday.age --identity backup.key"},
	"resume":                       {"resume"},
	"revoke":                       {"revoke --all"},
	"rooms admit":                  {"rooms admit telegram -- -1001234567890", "rooms admit slack C0123456789"},
	"rooms dismiss":                {"rooms dismiss slack C0123456789"},
	"rooms list":                   {"rooms list"},
	"run":                          {"run", "run --config /etc/gatehouse/gatehouse.yaml"},
	"secrets audit":                {"secrets audit github --last 20"},
	"secrets delete":               {"secrets delete github"},
	"secrets grant":                {"secrets grant github --tool http_request --for 720h"},
	"secrets list":                 {"secrets list"},
	"secrets revoke":               {"secrets revoke github --all"},
	"secrets rotate":               {"secrets rotate github", "secrets rotate github <new.txt"},
	"service install":              {"service install", "service install --dry-run"},
	"service remove":               {"service remove"},
	"status":                       {"status", "status --json"},
	"version":                      {"version"},
	"workspaces create":            {"workspaces create guild 'The guild'"},
	"workspaces delete":            {"workspaces delete guild --yes guild"},
	"workspaces list":              {"workspaces list"},
	"workspaces rename":            {"workspaces rename guild 'The old guild'"},
}
