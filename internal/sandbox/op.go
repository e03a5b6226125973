package sandbox

// Op is what the host asks of a guest. Numbers are only ever added; a guest
// answers one that it does not know with an error of its own.
type Op uint32

// What a channel's guest is asked for.
const (
	OpStart       Op = 1
	OpHTTPRequest Op = 2 // a webhook was called
	OpPoll        Op = 3
	OpSend        Op = 4
	OpEdit        Op = 5
	OpReact       Op = 6
	OpTyping      Op = 7
	OpShutdown    Op = 8
	OpDelete      Op = 9
	OpFetch       Op = 10 // an attachment's content
	OpReconcile   Op = 11 // did a send arrive?
	OpProbe       Op = 12
	OpCommands    Op = 13
	OpAnswer      Op = 14 // a button's press was seen
	OpStartLink   Op = 15 // a link that opens a chat with the bot

	OpToolExecute Op = 32
	OpToolSchema  Op = 33

	OpSocketOpen    Op = 48
	OpSocketMessage Op = 49
	OpSocketClosed  Op = 50
	OpTimer         Op = 51
)

// opNames are how logs and metrics call the operations, and under which names
// an Extism guest exports its functions.
var opNames = map[Op]string{
	OpStart: "start", OpHTTPRequest: "http_request", OpPoll: "poll", OpSend: "send", OpEdit: "edit", OpReact: "react",
	OpTyping: "typing", OpShutdown: "shutdown", OpDelete: "delete", OpFetch: "fetch", OpReconcile: "reconcile",
	OpProbe: "probe", OpCommands: "commands", OpAnswer: "answer", OpStartLink: "start_link", OpToolExecute: "tool_execute", OpToolSchema: "tool_schema",
	OpSocketOpen: "socket_open", OpSocketMessage: "socket_message", OpSocketClosed: "socket_closed", OpTimer: "timer",
}

// OpNamed finds an operation by its name; false when there is none.
func OpNamed(name string) (Op, bool) {
	for op, n := range opNames {
		if n == name {
			return op, true
		}
	}
	return 0, false
}

func (o Op) String() string {
	if s, ok := opNames[o]; ok {
		return s
	}
	return "unknown"
}

// HostOp is what a guest asks of its host.
type HostOp uint32

// What a guest can ask for. Now, Random, Log, Emit and KVPut are answered by the
// sandbox itself; so is a KVGet of what the same call put.
const (
	HostHTTP           HostOp = 1
	HostKVGet          HostOp = 2
	HostKVPut          HostOp = 3
	HostEmit           HostOp = 4
	HostLog            HostOp = 5
	HostNow            HostOp = 6
	HostRandom         HostOp = 7
	HostSecretExists   HostOp = 8
	HostAttachmentPut  HostOp = 9
	HostToolInvoke     HostOp = 10
	HostSocketSend     HostOp = 11
	HostSocketClose    HostOp = 12
	HostTimerSet       HostOp = 13
	HostAttachmentRead HostOp = 14
	HostKVList         HostOp = 15 // what was kept before the call
	HostAttachmentLink HostOp = 16
)

var hostOpNames = map[HostOp]string{
	HostHTTP: "http", HostKVGet: "kv_get", HostKVPut: "kv_put", HostEmit: "emit", HostLog: "log", HostNow: "now", HostRandom: "random",
	HostSecretExists: "secret_exists", HostAttachmentPut: "attachment_put", HostToolInvoke: "tool_invoke", HostSocketSend: "socket_send",
	HostSocketClose: "socket_close", HostTimerSet: "timer_set", HostAttachmentRead: "attachment_read", HostKVList: "kv_list",
	HostAttachmentLink: "attachment_link",
}

func (o HostOp) String() string {
	if s, ok := hostOpNames[o]; ok {
		return s
	}
	return "unknown"
}

// Refusal is why a host does not do what a guest asked for. The guest gets the
// number and goes on.
type Refusal int32

// The refusals that guests know.
const (
	Denied      Refusal = -1 // not granted
	Invalid     Refusal = -2 // not understood, or an operation that does not exist
	Quota       Refusal = -3
	Timeout     Refusal = -4
	Unavailable Refusal = -5
	TooLarge    Refusal = -6
	NotFound    Refusal = -7
	Auth        Refusal = -8 // the platform refused the credential
)

var refusalNames = map[Refusal]string{
	Denied: "denied", Invalid: "invalid", Quota: "quota used up", Timeout: "timed out", Unavailable: "unavailable",
	TooLarge: "too large", NotFound: "not found", Auth: "credential refused",
}

func (r Refusal) Error() string {
	if s, ok := refusalNames[r]; ok {
		return s
	}
	return "refused"
}
