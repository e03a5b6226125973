package codec

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Answer is what the Bot API said of a call.
type Answer struct {
	OK     bool
	Result json.RawMessage
	// Unchanged: the message is as it should be already, which is a success.
	Unchanged bool

	Kind       channels.Kind // of a failure
	Reason     string        // of a failure; from a closed set, nothing of the request
	RetryAfter time.Duration
	MovedTo    int64 // the chat's new id
	Again      Again // how the same call can succeed
}

// Again is a change under which a refused call can be made again at once.
type Again string

// The ways in which a refused call can be made again.
const (
	AgainNot        Again = ""
	AgainNoThread   Again = "no thread"
	AgainNoReply    Again = "no reply"
	AgainMoved      Again = "moved"
	AgainCaption    Again = "caption"
	AgainAsDocument Again = "document"
)

// Causes that the poll loop tells apart.
const (
	ReasonOtherPoller = "another program polls with the same token"
	ReasonWebhookSet  = "a webhook is set"
	ReasonToken       = "the token is not valid"
	ReasonNoMethod    = "the server has no such method"
	ReasonQueryOld    = "the press is too old to be answered"
)

// HTTP's status codes, which are the Bot API's too. The package does not import
// net/http for them: it has nothing else to do with a network.
const (
	badRequest      = 400
	unauthorized    = 401
	forbiddenThere  = 403
	missingThere    = 404
	conflicting     = 409
	tooLarge        = 413
	tooManyRequests = 429
)

type response struct {
	OK          bool            `json:"ok"`
	Result      json.RawMessage `json:"result"`
	Code        int             `json:"error_code"`
	Description string          `json:"description"`
	Parameters  struct {
		RetryAfter int64 `json:"retry_after"`
		MovedTo    int64 `json:"migrate_to_chat_id"`
	} `json:"parameters"`
}

// Classify reads an answer. repeatable says that the call may be made twice
// without harm, so that a broken answer to it is Transient and not Ambiguous.
func Classify(status int, body []byte, repeatable bool) Answer {
	var r response
	err := json.Unmarshal(body, &r)
	if err == nil && r.OK && status < 400 {
		return Answer{OK: true, Result: r.Result}
	}
	code := status
	if err == nil && r.Code != 0 {
		code = r.Code
	}
	if err != nil && status < 300 {
		return broken(repeatable, "the answer is not the Bot API's JSON")
	}
	switch {
	case code == tooManyRequests:
		return limited(r.Parameters.RetryAfter)
	case code >= 500:
		return broken(repeatable, "the server failed with status "+strconv.Itoa(code))
	case code == unauthorized:
		return Answer{Kind: channels.Unauthorized, Reason: ReasonToken}
	case code == missingThere:
		return notFound(r.Description)
	case code == conflicting:
		return conflict(r.Description)
	case code == forbiddenThere:
		return Answer{Kind: channels.Gone, Reason: forbidden(r.Description)}
	case code == tooLarge:
		return Answer{Kind: channels.Rejected, Reason: "the file is too large"}
	case r.Parameters.MovedTo != 0:
		return Answer{Kind: channels.Gone, Reason: "the group became a supergroup", MovedTo: r.Parameters.MovedTo, Again: AgainMoved}
	case code == badRequest:
		return refused(r.Description)
	}
	return Answer{Kind: channels.Other, Reason: "the server answered with status " + strconv.Itoa(code)}
}

// broken is an answer that does not say what became of the call.
func broken(repeatable bool, reason string) Answer {
	if repeatable {
		return Answer{Kind: channels.Transient, Reason: reason}
	}
	return Answer{Kind: channels.Ambiguous, Reason: reason}
}

// limited bounds what the platform asks for, so that a wrong number cannot
// silence a channel for years.
func limited(seconds int64) Answer {
	const usual, longest = 1, 24 * 60 * 60
	if seconds <= 0 {
		seconds = usual
	}
	wait := time.Duration(min(seconds, longest)) * time.Second
	return Answer{Kind: channels.RateLimited, Reason: "too many requests", RetryAfter: wait}
}

// notFound: the Bot API answers a path with a malformed token like one that
// does not exist; a method that it does not know it names as such.
func notFound(description string) Answer {
	if strings.Contains(strings.ToLower(description), "method not found") {
		return Answer{Kind: channels.Rejected, Reason: ReasonNoMethod}
	}
	if description == "" {
		return Answer{Kind: channels.Other, Reason: "there is no Bot API at this address"}
	}
	return Answer{Kind: channels.Unauthorized, Reason: ReasonToken}
}

func conflict(description string) Answer {
	if strings.Contains(strings.ToLower(description), "webhook") {
		return Answer{Kind: channels.Transient, Reason: ReasonWebhookSet}
	}
	return Answer{Kind: channels.Transient, Reason: ReasonOtherPoller}
}

func forbidden(description string) string {
	d := strings.ToLower(description)
	switch {
	case strings.Contains(d, "blocked"):
		return "the bot was blocked"
	case strings.Contains(d, "kicked"), strings.Contains(d, "not a member"):
		return "the bot is not in the group"
	case strings.Contains(d, "deactivated"), strings.Contains(d, "deleted"):
		return "the account or group no longer exists"
	case strings.Contains(d, "initiate"):
		return "the person has not started the bot"
	}
	return "the bot may not write there"
}

// refusal maps a part of a description to what it means. The descriptions
// themselves are not passed on: some quote the text that was sent.
type refusal struct {
	part   string // lower case
	answer Answer
}

// refusals are tried in order.
var refusals = []refusal{
	{"message is not modified", Answer{OK: true, Unchanged: true}},
	{"can't parse entities", Answer{Kind: channels.Format, Reason: "the markup was refused"}},
	{"can't parse message text", Answer{Kind: channels.Format, Reason: "the markup was refused"}},
	{"unsupported parse_mode", Answer{Kind: channels.Format, Reason: "the markup was refused"}},
	{"entity_bounds_invalid", Answer{Kind: channels.Format, Reason: "the markup was refused"}},
	{"message thread not found", Answer{Kind: channels.Gone, Reason: "the topic does not exist", Again: AgainNoThread}},
	{"topic_deleted", Answer{Kind: channels.Gone, Reason: "the topic does not exist", Again: AgainNoThread}},
	{"topic_id_invalid", Answer{Kind: channels.Gone, Reason: "the topic does not exist", Again: AgainNoThread}},
	{"topic_closed", Answer{Kind: channels.Gone, Reason: "the topic is closed", Again: AgainNoThread}},
	{"message to be replied not found", Answer{Kind: channels.Gone, Reason: "the message to answer no longer exists", Again: AgainNoReply}},
	{"reply message not found", Answer{Kind: channels.Gone, Reason: "the message to answer no longer exists", Again: AgainNoReply}},
	{"message to reply not found", Answer{Kind: channels.Gone, Reason: "the message to answer no longer exists", Again: AgainNoReply}},
	{"there is no text in the message to edit", Answer{Kind: channels.Rejected, Reason: "the message carries a file", Again: AgainCaption}},
	{"voice_messages_forbidden", Answer{Kind: channels.Rejected, Reason: "the person takes no voice messages", Again: AgainAsDocument}},
	{"photo_invalid_dimensions", Answer{Kind: channels.Rejected, Reason: "the picture cannot be shown as a photo", Again: AgainAsDocument}},
	{"image_process_failed", Answer{Kind: channels.Rejected, Reason: "the picture cannot be shown as a photo", Again: AgainAsDocument}},
	{"photo_ext_invalid", Answer{Kind: channels.Rejected, Reason: "the picture cannot be shown as a photo", Again: AgainAsDocument}},
	{"too big for a photo", Answer{Kind: channels.Rejected, Reason: "the picture cannot be shown as a photo", Again: AgainAsDocument}},
	{"query is too old", Answer{Kind: channels.Gone, Reason: ReasonQueryOld}},
	{"query id is invalid", Answer{Kind: channels.Gone, Reason: ReasonQueryOld}},
	{"query_id_invalid", Answer{Kind: channels.Gone, Reason: ReasonQueryOld}},
	{"message to edit not found", Answer{Kind: channels.Gone, Reason: "the message to change no longer exists"}},
	{"message can't be edited", Answer{Kind: channels.Gone, Reason: "the message can no longer be changed"}},
	{"message to delete not found", Answer{Kind: channels.Gone, Reason: "the message to delete no longer exists"}},
	{"message can't be deleted", Answer{Kind: channels.Gone, Reason: "the message can no longer be deleted"}},
	{"message to react not found", Answer{Kind: channels.Gone, Reason: "the message no longer exists"}},
	{"message_id_invalid", Answer{Kind: channels.Gone, Reason: "the message no longer exists"}},
	{"chat not found", Answer{Kind: channels.Gone, Reason: "the chat does not exist for this bot"}},
	{"group chat was deactivated", Answer{Kind: channels.Gone, Reason: "the account or group no longer exists"}},
	{"peer_id_invalid", Answer{Kind: channels.Gone, Reason: "the chat does not exist for this bot"}},
	{"user is deactivated", Answer{Kind: channels.Gone, Reason: "the account or group no longer exists"}},
	{"not enough rights", Answer{Kind: channels.Gone, Reason: "the bot may not write there"}},
	{"have no rights", Answer{Kind: channels.Gone, Reason: "the bot may not write there"}},
	{"chat_write_forbidden", Answer{Kind: channels.Gone, Reason: "the bot may not write there"}},
	{"chat_send_", Answer{Kind: channels.Gone, Reason: "the group does not allow this kind of message"}},
	{"too long", Answer{Kind: channels.Rejected, Reason: "the text is too long"}},
	{"too_long", Answer{Kind: channels.Rejected, Reason: "the text is too long"}},
	{"text is empty", Answer{Kind: channels.Rejected, Reason: "the text is empty"}},
	{"text must be non-empty", Answer{Kind: channels.Rejected, Reason: "the text is empty"}},
	{"too big", Answer{Kind: channels.Rejected, Reason: "the file is too large"}},
	{"file must be non-empty", Answer{Kind: channels.Rejected, Reason: "the file is empty"}},
	{"button_", Answer{Kind: channels.Rejected, Reason: "a button was refused"}},
	{"reaction_invalid", Answer{Kind: channels.Rejected, Reason: "the platform has no such reaction"}},
	{"wrong file_id", Answer{Kind: channels.Gone, Reason: "the file no longer exists"}},
	{"invalid file_id", Answer{Kind: channels.Gone, Reason: "the file no longer exists"}},
	{"wrong file identifier", Answer{Kind: channels.Gone, Reason: "the file no longer exists"}},
	{"file is temporarily unavailable", Answer{Kind: channels.Transient, Reason: "the file is not available at the moment"}},
	{"bad webhook", Answer{Kind: channels.Rejected, Reason: "the webhook's address was refused"}},
}

func refused(description string) Answer {
	d := strings.ToLower(description)
	for i := range refusals {
		if strings.Contains(d, refusals[i].part) {
			return refusals[i].answer
		}
	}
	return Answer{Kind: channels.Rejected, Reason: "the request was refused"}
}
