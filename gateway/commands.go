package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
	"github.com/gatehouse-chat/gatehouse/gateway/session"
)

// command describes one that works on every channel.
type command struct {
	channels.CommandSpec
	urgent bool // answered at once, even while a turn runs
	looks  bool // so it is without arguments: then it only shows something
	hidden bool // not shown in menus
}

// commandList is in the order in which /help shows it.
var commandList = []command{
	{CommandSpec: channels.CommandSpec{Name: "stop", Help: "Stop what I am doing"}, urgent: true},
	{CommandSpec: channels.CommandSpec{Name: "approve", Help: "Allow what I asked about", Args: "code [here|always]"}, urgent: true, hidden: true},
	{CommandSpec: channels.CommandSpec{Name: "deny", Help: "Do not allow it", Args: "code"}, urgent: true, hidden: true},
	{CommandSpec: channels.CommandSpec{Name: "new", Help: "Start a new conversation"}},
	{CommandSpec: channels.CommandSpec{Name: "remember", Help: "Keep something for later", Args: "text"}},
	{CommandSpec: channels.CommandSpec{Name: "forget", Help: "Forget what I kept", Args: "id or words"}},
	{CommandSpec: channels.CommandSpec{Name: "sources", Help: "Show what of my memory the last answer used"}},
	{CommandSpec: channels.CommandSpec{Name: "later", Help: "Take something up later", Args: "when what"}},
	{CommandSpec: channels.CommandSpec{Name: "model", Help: "Show or choose the model", Args: "[name]"}, looks: true},
	{CommandSpec: channels.CommandSpec{Name: "usage", Help: "Show what was used today"}, urgent: true},
	{CommandSpec: channels.CommandSpec{Name: "status", Help: "Show how I am doing"}, urgent: true},
	{CommandSpec: channels.CommandSpec{Name: "whoami", Help: "Show who you are to me"}, urgent: true},
	{CommandSpec: channels.CommandSpec{Name: "help", Help: "Show what I can do"}, urgent: true},
	{CommandSpec: channels.CommandSpec{Name: "start", Help: "Begin"}, hidden: true},
}

// commands finds them by name.
var commands = func() map[string]command {
	m := map[string]command{}
	for _, c := range commandList {
		m[c.Name] = c
	}
	return m
}()

func commandSpecs() []channels.CommandSpec {
	var specs []channels.CommandSpec
	for _, c := range commandList {
		if !c.hidden {
			specs = append(specs, c.CommandSpec)
		}
	}
	return specs
}

// command answers one command. The rest of the lease waits for its own turn.
func (s *sitting) command(ctx context.Context, it item, c channels.Command) error {
	s.items = nil
	s.verdicts[it.rec.Key] = bus.Verdict{Fate: bus.Ack}
	text, buttons, err := s.obey(ctx, it, c)
	if err != nil {
		return fmt.Errorf("/%s: %w", c.Name, err)
	}
	if err := s.ended(it.rec); err != nil {
		return err
	}
	if text == "" {
		return nil // what it did shows by itself
	}
	return s.say(it, "cmd", text, buttons)
}

func (s *sitting) say(it item, what, text string, buttons []channels.Button) error {
	out := s.outbound(it.event)
	out.Markdown, out.Buttons = text, buttons
	r, err := delivery.Record(it.scope.Scope.Workspace(), noticeKey(it.rec, what), out)
	s.emit = append(s.emit, r)
	return err
}

func (s *sitting) obey(ctx context.Context, it item, c channels.Command) (string, []channels.Button, error) {
	switch c.Name {
	case "start":
		return textHello, nil, nil
	case "help":
		return helpText(), nil, nil
	case "stop":
		what, err := s.stop(ctx, it)
		if err == nil && what == nothingRuns {
			what, err = s.stopAsking(ctx, it)
		}
		return stopTexts[what], nil, err
	case "approve", "deny":
		if asksToBeLetIn(c.Args) {
			text, err := s.letInOrNot(ctx, it, c)
			return text, nil, err
		}
		text, err := s.approveOrDeny(ctx, it, c.Name, c.Args)
		return text, nil, err
	case "new":
		return s.startOver(ctx, it)
	case "remember", "forget", "sources":
		text, err := s.memories(ctx, it, c)
		return text, nil, err
	case "later":
		text, err := s.later(ctx, it, c.Args)
		return text, nil, err
	case "model":
		return s.model(ctx, it, c.Args)
	case "usage":
		return s.usage(it), nil, nil
	case "status":
		return s.status(ctx, it)
	case "whoami":
		return whoami(it), nil, nil
	}
	return fmt.Sprintf(textUnknownCommand, c.Name), nil, nil
}

func helpText() string {
	var b strings.Builder
	b.WriteString(textHelp)
	for _, c := range commandList {
		if c.hidden {
			continue
		}
		name := strings.TrimSpace("/" + c.Name + " " + c.Args)
		fmt.Fprintf(&b, "\n- `%s` %s", name, c.Help)
	}
	return b.String()
}

func (s *sitting) startOver(ctx context.Context, it item) (string, []channels.Button, error) {
	id := session.Of(it.scope.Scope)
	meta, err := s.g.book.Meta(ctx, id)
	if err != nil {
		return "", nil, err
	}
	w, err := session.Reset(id, meta, it.rec.Seq, s.g.now())
	s.state = append(s.state, w)
	return textNew, nil, err
}

// pressModel marks a button that chooses a model.
const pressModel = "gw:model:"

func (s *sitting) model(ctx context.Context, it item, name string) (string, []channels.Button, error) {
	settings := s.g.settings()
	id := session.Of(it.scope.Scope)
	meta, err := s.g.book.Meta(ctx, id)
	if err != nil {
		return "", nil, err
	}
	name = strings.TrimSpace(name)
	if name == "" {
		now := meta.Model
		if now == "" {
			now = settings.Model
		}
		return modelText(settings, now), modelButtons(settings, now), nil
	}
	if !slices.Contains(settings.Models, name) {
		return fmt.Sprintf(textNoSuchModel, name, strings.Join(settings.Models, "`, `")), nil, nil
	}
	if meta.Model = name; name == settings.Model {
		meta.Model = ""
	}
	w, err := session.Save(id, meta)
	s.state = append(s.state, w)
	return fmt.Sprintf(textModelChosen, describe(settings, name)), nil, err
}

func describe(settings AgentSettings, name string) string {
	if settings.Describe == nil {
		return name
	}
	return settings.Describe(name)
}

func modelText(settings AgentSettings, now string) string {
	return fmt.Sprintf(textModelNow, describe(settings, now), strings.Join(settings.Models, "`, `"))
}

func modelButtons(settings AgentSettings, now string) []channels.Button {
	var out []channels.Button
	for _, m := range settings.Models {
		if m != now && len(pressModel+m) <= 64 {
			out = append(out, channels.Button{Label: m, Data: pressModel + m})
		}
	}
	return out
}

// press answers a button.
func (s *sitting) press(ctx context.Context, it item, p channels.Press) error {
	s.items = nil
	s.verdicts[it.rec.Key] = bus.Verdict{Fate: bus.Ack}
	text := textStaleButton
	if name, ok := strings.CutPrefix(p.Data, pressModel); ok {
		said, _, err := s.model(ctx, it, name)
		if err != nil {
			return err
		}
		text = said
	}
	if rest, ok := strings.CutPrefix(p.Data, pressAnswer); ok {
		said, err := s.pressed(ctx, it, rest)
		if err != nil {
			return err
		}
		text = said
	}
	if l := s.g.line(it.event.Where.Channel); l != nil {
		if a, ok := channels.As[channels.Answerer](l.ch); ok { // ends the spinner; the text follows by itself
			if err := answerSafely(ctx, a, p); err != nil {
				s.g.log.Debug("answer a press", "channel", it.event.Where.Channel, "err", err)
			}
		}
	}
	if err := s.ended(it.rec); err != nil {
		return err
	}
	if text == "" {
		return nil
	}
	return s.say(it, "press", text, nil)
}

// answerFor bounds how long a press may wait for the platform.
const answerFor = 5 * time.Second

func answerSafely(ctx context.Context, a channels.Answerer, p channels.Press) (err error) {
	ctx, cancel := context.WithTimeout(ctx, answerFor)
	defer cancel()
	defer func() {
		if recover() != nil {
			err = errPanicked
		}
	}()
	return a.Answer(ctx, p, "")
}

func (s *sitting) usage(it item) string {
	settings := s.g.settings()
	own, all := s.g.spend.today(it.scope.Scope.Member()), s.g.spend.today("")
	var b strings.Builder
	fmt.Fprintf(&b, "Today (UTC) you used %d model calls, %d tokens in and %d out, about $%.2f.", own.Calls, own.Input, own.Output, own.USD)
	if it.scope.Scope.Role().Administers() {
		fmt.Fprintf(&b, "\nEverybody together: %d calls, about $%.2f.", all.Calls, all.USD)
	}
	if settings.DailySpend >= 0 {
		fmt.Fprintf(&b, "\nThe daily cap is $%.2f; $%.2f is left.", settings.DailySpend, s.g.spend.left(settings.DailySpend))
	}
	if own.Guessed {
		b.WriteString("\nSome of it is an estimate: the provider gave no figures, or the price is not known.")
	}
	return b.String()
}

func (s *sitting) status(ctx context.Context, it item) (string, []channels.Button, error) {
	settings := s.g.settings()
	_, meta, history, err := s.sessionOf(ctx, it)
	if err != nil {
		return "", nil, err
	}
	model := meta.Model
	if model == "" {
		model = settings.Model
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Gatehouse %s, up for %s.", s.g.version, span(s.g.now().Sub(s.g.started)))
	fmt.Fprintf(&b, "\nModel: %s.", describe(settings, model))
	fmt.Fprintf(&b, "\nThis conversation: %d entries remembered.", countTurns(history))
	if began, ok := s.g.running.since(it.event.Where.Order()); ok {
		fmt.Fprintf(&b, "\nWorking on an answer for %s.", span(s.g.now().Sub(began)))
	}
	if settings.DailySpend >= 0 {
		fmt.Fprintf(&b, "\nSpent today: about $%.2f of $%.2f.", s.g.spend.today("").USD, settings.DailySpend)
	}
	return b.String(), nil, nil
}

func countTurns(history []agent.Entry) int {
	n := 0
	for _, e := range history {
		if e.Role == agent.User || e.Role == agent.Assistant {
			n++
		}
	}
	return n
}

// span writes a duration for people.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func whoami(it item) string {
	sc := it.scope.Scope
	where := "a room"
	if sc.Direct() {
		where = "a direct chat"
	}
	return fmt.Sprintf("You are `%s` with the role **%s**, in %s on the channel `%s`.\nYour id here is `%s`; this conversation is `%s`.",
		sc.Member(), sc.Role(), where, sc.Channel(), it.event.Who.ID, it.event.Where.Conversation)
}
