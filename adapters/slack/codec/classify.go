package codec

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Answer is what the Web API said of a call.
type Answer struct {
	OK     bool
	Result json.RawMessage // the whole answer
	// Unchanged: things are as they should be already, which is a success.
	Unchanged bool

	Kind       channels.Kind // of a failure
	Reason     string        // of a failure; from a closed set, nothing of the request
	Code       string        // Slack's own word for it, if that can be shown
	Needed     string        // the scope that is missing
	RetryAfter time.Duration
}

// HTTP's status codes. The package does not import net/http for them.
const (
	unauthorized    = 401
	missingThere    = 404
	tooLarge        = 413
	tooManyRequests = 429
)

type response struct {
	OK     bool   `json:"ok"`
	Error  string `json:"error"`
	Needed string `json:"needed"`
}

// Classify reads an answer. retryAfter is the header of that name. repeatable
// says that the call may be made twice without harm, so that a broken answer to
// it is Transient and not Ambiguous.
func Classify(status int, retryAfter string, body []byte, repeatable bool) Answer {
	if status == tooManyRequests {
		return limited(retryAfter)
	}
	var r response
	err := json.Unmarshal(body, &r)
	switch {
	case err == nil && r.OK && status < 300:
		return Answer{OK: true, Result: body}
	case status >= 500:
		return broken(repeatable, "the server failed with status "+strconv.Itoa(status))
	case err == nil && r.Error != "":
		a := refused(r.Error, retryAfter, repeatable)
		a.Result, a.Code = body, code(r.Error)
		if a.Code == "missing_scope" && wellFormed(strings.NewReplacer(":", "", ",", "").Replace(r.Needed)) {
			a.Needed = r.Needed
			a.Reason = "the app lacks the scope " + r.Needed
		}
		return a
	case status < 300:
		return broken(repeatable, "the answer is not the Web API's JSON")
	case status == unauthorized:
		return Answer{Kind: channels.Unauthorized, Reason: ReasonToken}
	case status == tooLarge:
		return Answer{Kind: channels.Rejected, Reason: "the request is too large"}
	case status == missingThere:
		return Answer{Kind: channels.Other, Reason: "there is no Web API at this address"}
	}
	return Answer{Kind: channels.Other, Reason: "the server answered with status " + strconv.Itoa(status)}
}

// ClassifyReply reads the answer to what went to a response_url, which is "ok"
// or an object.
func ClassifyReply(status int, retryAfter string, body []byte) Answer {
	text := strings.TrimSpace(string(body))
	if status < 300 && (text == "ok" || text == "") {
		return Answer{OK: true}
	}
	if strings.HasPrefix(text, "{") {
		return Classify(status, retryAfter, body, false)
	}
	switch {
	case status == tooManyRequests:
		return limited(retryAfter)
	case status >= 500:
		return broken(false, "the server failed with status "+strconv.Itoa(status))
	case status == missingThere, strings.Contains(text, "expired_url"), strings.Contains(text, "used_url"):
		return Answer{Kind: channels.Gone, Reason: "the reply path has ended"}
	}
	return Answer{Kind: channels.Rejected, Reason: "the reply was refused"}
}

// code is Slack's word for an error if it is one, and nothing that could hold
// what was sent.
func code(s string) string {
	if len(s) > 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return ""
	}
	return s
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
func limited(retryAfter string) Answer {
	const usual, longest = 1, 24 * 60 * 60
	seconds, err := strconv.ParseInt(strings.TrimSpace(retryAfter), 10, 64)
	if err != nil || seconds <= 0 {
		seconds = usual
	}
	return Answer{
		Kind: channels.RateLimited, Reason: "too many requests",
		RetryAfter: time.Duration(min(seconds, longest)) * time.Second,
	}
}

// ReasonToken is the reason of a token that no longer counts.
const ReasonToken = "the token is not valid"

var (
	noToken    = Answer{Kind: channels.Unauthorized, Reason: ReasonToken}
	uninstall  = Answer{Kind: channels.Unauthorized, Reason: "the app is not installed there any more"}
	noScope    = Answer{Kind: channels.Rejected, Reason: "the app lacks a scope"}
	noPlace    = Answer{Kind: channels.Gone, Reason: "the conversation does not exist for this app"}
	noMessage  = Answer{Kind: channels.Gone, Reason: "the message no longer exists"}
	fixed      = Answer{Kind: channels.Gone, Reason: "the message can no longer be changed"}
	shut       = Answer{Kind: channels.Gone, Reason: "the app may not write there"}
	noPerson   = Answer{Kind: channels.Gone, Reason: "the person is not there"}
	badMarkup  = Answer{Kind: channels.Format, Reason: "the markup was refused"}
	longText   = Answer{Kind: channels.Rejected, Reason: "the text is too long"}
	emptyText  = Answer{Kind: channels.Rejected, Reason: "the text is empty"}
	noFile     = Answer{Kind: channels.Gone, Reason: "the file no longer exists"}
	badFile    = Answer{Kind: channels.Rejected, Reason: "the file was refused"}
	noEmoji    = Answer{Kind: channels.Rejected, Reason: "the platform has no such reaction"}
	asItShould = Answer{OK: true, Unchanged: true}
	notNow     = Answer{Kind: channels.Transient, Reason: "the platform does not do it now"}
)

// refusals are Slack's words for what went wrong.
var refusals = map[string]Answer{
	"invalid_auth": noToken, "not_authed": noToken, "token_revoked": noToken, "token_expired": noToken,
	"account_inactive": uninstall, "team_access_not_granted": uninstall, "org_login_required": uninstall, "app_not_installed": uninstall,
	"not_allowed_token_type": {Kind: channels.Unauthorized, Reason: "it is a token of the wrong kind"},
	"missing_scope":          noScope, "no_permission": noScope, "ekm_access_denied": shut, "access_denied": shut,

	"channel_not_found": noPlace, "is_archived": {Kind: channels.Gone, Reason: "the channel is archived"},
	"not_in_channel":    {Kind: channels.Gone, Reason: "the app is not in the channel: invite it there"},
	"restricted_action": shut, "restricted_action_read_only_channel": shut, "restricted_action_thread_only_channel": shut,
	"restricted_action_non_threadable_channel": shut, "restricted_action_thread_locked": shut, "messages_tab_disabled": shut,
	"user_not_in_channel": noPerson, "user_not_found": noPerson, "cannot_dm_bot": shut, "users_not_found": noPerson,

	"message_not_found": noMessage, "thread_not_found": noMessage, "cannot_reply_to_message": noMessage,
	"cant_update_message": fixed, "edit_window_closed": fixed, "cant_delete_message": fixed, "compliance_exports_prevent_deletion": fixed,

	"invalid_blocks": badMarkup, "invalid_blocks_format": badMarkup, "msg_blocks_too_long": badMarkup, "block_mismatch": badMarkup,
	"invalid_attachments": badMarkup, "only_one_table_allowed": badMarkup, "invalid_block_type": badMarkup,
	"msg_too_long": longText, "no_text": emptyText, "too_many_attachments": badMarkup,

	"already_reacted": asItShould, "no_reaction": asItShould, "invalid_name": noEmoji, "too_many_emoji": noEmoji, "too_many_reactions": noEmoji,
	"bad_timestamp": noMessage, "no_item_specified": noMessage, "is_inactive": noMessage,

	"file_not_found": noFile, "file_deleted": noFile, "files_not_found": noFile, "file_uploads_disabled": badFile,
	"file_uploads_except_images_disabled": badFile, "file_type_not_allowed": badFile, "storage_limit_reached": badFile,

	"service_unavailable": notNow, "team_added_to_org": notNow, "accesslimited": notNow,
}

// uncertain are words for failures that do not say whether anything was done.
var uncertain = map[string]bool{"fatal_error": true, "internal_error": true, "request_timeout": true}

func refused(word, retryAfter string, repeatable bool) Answer {
	switch {
	case word == "ratelimited" || word == "rate_limited" || word == "message_limit_exceeded":
		return limited(retryAfter)
	case uncertain[word]:
		return broken(repeatable, "the platform failed inside")
	}
	if a, ok := refusals[word]; ok {
		return a
	}
	return Answer{Kind: channels.Rejected, Reason: "the request was refused"}
}
