package channeltest

import (
	"slices"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Ability is something that not every platform, adapter or emulator has.
type Ability string

// The abilities: first those of people and the platform, then those of the bot.
const (
	Rooms         Ability = "rooms"
	Threads       Ability = "threads"
	JoinedThreads Ability = "joined threads" // no mention is needed where the bot has spoken
	Redelivery    Ability = "redelivery"
	Edits         Ability = "edits by people"
	Deletions     Ability = "deletions by people"
	Reactions     Ability = "reactions by people"
	Presses       Ability = "button presses"
	FilesIn       Ability = "files from people"
	Drops         Ability = "dropped connections"
	Outages       Ability = "outages"
	Revocation    Ability = "revoked credentials"
	Stalls        Ability = "stalled sends"
	Secrets       Ability = "secrets"

	Editing     Ability = "editing"
	Deleting    Ability = "deleting"
	Reacting    Ability = "reacting"
	Typing      Ability = "typing"
	FilesOut    Ability = "sending files"
	Captions    Ability = "texts beside files"
	Albums      Ability = "several files together"
	Buttons     Ability = "buttons"
	Answering   Ability = "answering presses"
	CommandMenu Ability = "registered commands"
	Quoting     Ability = "quoting"
	TextLimit   Ability = "a limit of text"
	Reconciling Ability = "reconciling"
	Probing     Ability = "probing"

	Throttles    Ability = Ability(Throttled)
	Unavailables Ability = Ability(Unavailable)
	LostAnswers  Ability = Ability(LostAnswer)
	BadFormats   Ability = Ability(BadFormat)
	ShutOuts     Ability = Ability(ShutOut)
	Refusals     Ability = Ability(Refused)
)

// Abilities are all of them.
func Abilities() []Ability {
	return []Ability{
		Rooms, Threads, JoinedThreads, Redelivery, Edits, Deletions, Reactions, Presses, FilesIn,
		Drops, Outages, Revocation, Stalls, Secrets,
		Editing, Deleting, Reacting, Typing, FilesOut, Captions, Albums, Buttons, Answering, CommandMenu, Quoting, TextLimit,
		Reconciling, Probing,
		Throttles, Unavailables, LostAnswers, BadFormats, ShutOuts, Refusals,
	}
}

// offered says whether the ability is there, and whether the channel itself
// claims it.
func (a Ability) offered(r *rig) (has, does bool) {
	if has, ok := a.byHarness(r); ok {
		return has, false
	}
	does, shown := a.byChannel(r)
	return does && shown, does
}

// byHarness is about what people and the platform do.
func (a Ability) byHarness(r *rig) (has, ok bool) {
	h := r.hs
	switch a {
	case Rooms:
		return h.Rooms, true
	case Threads:
		return h.Threads && r.ch.Features(channels.Address{}).Threads, true
	case JoinedThreads:
		return h.Joins, true
	case Redelivery:
		return h.Again != nil, true
	case Edits:
		return h.Edit != nil, true
	case Deletions:
		return h.Delete != nil, true
	case Reactions:
		return h.React != nil, true
	case Presses:
		return h.Press != nil, true
	case Drops:
		return h.Drop != nil, true
	case Outages:
		return h.Down != nil, true
	case Revocation:
		return h.Revoke != nil, true
	case Stalls:
		return h.Stall != nil, true
	case Secrets:
		return len(r.host.disk.secrets) > 0, true
	case TextLimit:
		return r.ch.Features(channels.Address{}).MaxText > 0, true
	case Throttles, Unavailables, LostAnswers, BadFormats, ShutOuts, Refusals:
		return h.Fail != nil && slices.Contains(h.Faults, Fault(a)), true
	}
	return false, false
}

// byChannel is about what the bot does, and whether the harness can show it.
func (a Ability) byChannel(r *rig) (does, shown bool) {
	f := r.ch.Features(channels.Address{})
	switch a {
	case Editing:
		return can[channels.Editor](r), true
	case Deleting:
		return can[channels.Deleter](r), true
	case Reacting:
		return can[channels.Reactor](r), r.hs.Reacted != nil
	case Typing:
		return can[channels.Typer](r), r.hs.Typed != nil
	case FilesIn:
		return can[channels.Fetcher](r), true
	case FilesOut:
		return f.MaxFile > 0, true
	case Captions:
		return f.MaxFile > 0 && f.MaxCaption > 0, true
	case Albums:
		return f.MaxFile > 0 && f.MaxAlbum > 1, true
	case Buttons:
		return f.MaxButtons > 0, true
	case Answering:
		return can[channels.Answerer](r), r.hs.Answered != nil && r.hs.Press != nil
	case CommandMenu:
		return can[channels.Commander](r), r.hs.Commands != nil
	case Quoting:
		return f.ReplyTo, true
	case Reconciling:
		return can[channels.Reconciler](r), true
	case Probing:
		return can[channels.Prober](r), true
	}
	return false, false
}

func can[T any](r *rig) bool { _, ok := channels.As[T](r.ch); return ok }
