package wasm

import (
	"time"
)

// What a person can do about a failure.
const (
	fixReach  = "Check that this machine reaches the platform at the addresses of the channel's section."
	fixSecret = "Store the credentials anew under the names that the channel's section refers to, and check its other keys."
	fixFaults = "Tell the module's author; the log has the fault. Until then use another version of the module."
	fixAbsent = "Install it: gatehouse adapter install FILE. Or take the channel out of the configuration."
	fixBarred = "If the publisher is to be trusted after all: gatehouse adapter trust add. Else remove the channel and the module."
	fixLoad   = "Use another version of the module, or tell its author."
	fixStore  = "The gateway's own store does not take messages; see its log and the free space on its disk."
)

func milliseconds(n int64) time.Duration {
	const most = int64(24 * time.Hour / time.Millisecond)
	return time.Duration(min(max(n, 0), most)) * time.Millisecond
}
