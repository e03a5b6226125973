package gateway

import "github.com/gatehouse-chat/gatehouse/gateway/approval"

// What the gateway itself says to people, in one place.
const (
	textHello            = "Hello! Write to me and I will answer. /help shows what else I can do."
	textHelp             = "Just write to me. Besides, these commands work everywhere:\n"
	textUnknownCommand   = "I do not know the command `/%s`. /help shows those that I know."
	textNew              = "A new conversation: I have set aside what we said before."
	textModelNow         = "The model is %s. To choose another, write `/model` and one of: `%s`."
	textModelChosen      = "From now on I use %s in this conversation."
	textNoSuchModel      = "There is no model named `%s`. I have: `%s`."
	textNotHere          = "That works only in a direct chat with me."
	textNotYours         = "Only the owner, an administrator or an approver may do this."
	textNoSuchCode       = "Nobody waits under the code `%s`, or it has expired. Who waits stands in the console under People."
	textIsIn             = "%s is in, on the channel `%s`. What they wrote is being answered."
	textIsRefused        = "%s is refused, on the channel `%s`. They can ask again in an hour."
	textErrandDue        = "(On %s I asked you to take this up now.)\n\n%s"
	textLaterHow         = "Write when and what, such as `/later 2h remind me to call Ada`, `/later tomorrow 9:00 remind me to call Ada` or `/later every 1d what is new in my tickets?` Minutes, hours, days and weeks are m, h, d and w. Days are today, tomorrow, those of the week, and dates such as 2026-12-01; times of day are such as 18:30 or 6:30pm. `/later` alone lists what you asked for, `/later cancel` with its id takes it back."
	textLaterWhat        = "You have said when, but not what: write it after the time."
	textLaterLong        = "That is too long for me to keep; write a shorter one."
	textLaterFar         = "That is too far away; the farthest are 400 days."
	textLaterSoon        = "That is too soon; the least is a minute (1m), and an hour (1h) for what comes again."
	textLaterClock       = "Say the time of day after the day, such as `/later tomorrow 9:00 remind me to call Ada`."
	textLaterNoDay       = "There is no such day. Write a date as year, month and day, such as 2026-12-01."
	textLaterPast        = "That time has passed already."
	textLaterNot         = "Only members of this place can ask me to take something up later."
	textLaterMany        = "You have asked for %d things already; take one back first."
	textLaterOnce        = "I will take this up on %s (`/later cancel %s` takes it back)."
	textLaterAgain       = "I will take this up on %s for the first time, and then again and again (`/later cancel %s` ends it)."
	textLaterNone        = "There is nothing that I am to take up later."
	textLaterList        = "This I will take up later; `/later cancel` with the id takes it back:"
	textLaterCancelled   = "I will not take it up."
	textLaterUnknown     = "You have asked for nothing of this id. `/later` lists what there is."
	textStaleButton      = "This button no longer does anything."
	textNoAnswer         = "I came to no answer. Please ask again, perhaps in other words."
	textSetAside         = "Something about your message made me fail several times, so I have set it aside. The person who runs this bot can see it."
	textDecided          = "Somebody was faster: this is decided already."
	textNoQuestion       = "There is no such question any more."
	textNoQuestionCode   = "There is no such question `%s` here, or no more. Write the code that stands in my question."
	textApproveHow       = "Write `/approve` with the code that stands in my question, such as `/approve q-7k2m9p`, or `/deny` with it."
	textRememberHow      = "Write what I should remember after the command, such as `/remember The boiler's number is 4711`, or send a file with it."
	textRememberLong     = "I cannot keep this as it is: it is too long, or there is nothing in it."
	textRememberNot      = "There is nothing here in which I could keep it."
	textRemembers        = "I will remember this for you, wherever you ask me (`/forget %s` takes it back)."
	textRememberFileNot  = "I did not keep %s: %s."
	textKeptFile         = "I will remember %s for you, wherever you ask me (`/forget %s` takes it back)."
	textKeptFileRoom     = "I will remember %s for everybody in this room (`/forget %s` takes it back)."
	textRememberFileGone = "I could not fetch it"
	textRemembersRoom    = "I will remember this for everybody in this room (`/forget %s` takes it back)."
	textForgetHow        = "Write after the command what I should forget: its id, such as `/forget c5d41402abc4b`, or some words, and I show you what I have."
	textForgotten        = "Forgotten: %d."
	textForgetNone       = "I remember nothing of the kind here."
	textForgetWhich      = "Which of these? `/forget` with its id forgets it, where it is yours to forget."
	textSources          = "My last answer had this from memory:"
	textNoSources        = "My last answer used nothing from memory."
	textSourceGone       = "has been forgotten since, or is not to be shown here."
	textSourceUntrusted  = "from somewhere that nobody here vouches for"
	textNoMemory         = "I have no memory here."
	textGathered         = "*(This answers your %d messages together.)*\n\n"
	textGatheredLate     = "*(Your %d messages had to wait. This answers them together.)*\n\n"
)

var stopTexts = map[stopped]string{
	nothingRuns: "There is nothing to stop.",
	notTheirs:   "I am answering somebody else; only they or an administrator can stop that.",
	wasStopped:  "Stopped.",
}

// decideTexts say why a question cannot be decided.
var decideTexts = map[error]string{
	approval.ErrDecided: textDecided,
	approval.ErrExpired: "The time for this has run out, so I left it. Ask me again if it should be done.",
	approval.ErrDenied:  "This is not yours to decide: whoever asked can, or somebody who approves.",
	approval.ErrOnce:    "What cannot be undone is allowed once at a time.",
}
