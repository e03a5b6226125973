//go:build wasip1

package guest

// What the host can be asked for.
const (
	hostHTTP           = 1
	hostKVGet          = 2
	hostKVPut          = 3
	hostEmit           = 4
	hostLog            = 5
	hostAttachmentPut  = 9
	hostSocketSend     = 11
	hostSocketClose    = 12
	hostTimerSet       = 13
	hostAttachmentRead = 14
	hostKVList         = 15
)

// Refusal is why the host did not do something.
type Refusal int32

// The refusals.
const (
	Denied      Refusal = -1
	Invalid     Refusal = -2
	Quota       Refusal = -3
	Timeout     Refusal = -4 // of a request: it may have been carried out
	Unavailable Refusal = -5 // of a request: it certainly was not
	TooLarge    Refusal = -6
	NotFound    Refusal = -7
	Auth        Refusal = -8
)

// Error implements error.
func (r Refusal) Error() string {
	switch r {
	case Denied:
		return "the manifest does not list this, or it was not granted"
	case Quota:
		return "the quota is used up"
	case Timeout:
		return "no answer came"
	case Unavailable:
		return "nothing could be sent"
	case TooLarge:
		return "it is too large"
	case NotFound:
		return "there is no such thing"
	case Auth:
		return "the credential was refused"
	default:
		return "the host did not understand"
	}
}
