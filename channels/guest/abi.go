//go:build wasip1

package guest

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"unsafe"
)

// The host's functions, as docs/sandbox.md has them.

//go:wasmimport gw input
func gwInput(ptr unsafe.Pointer, size uint32) uint32

//go:wasmimport gw output
func gwOutput(ptr unsafe.Pointer, n uint32)

//go:wasmimport gw call
func gwCall(op uint32, ptr unsafe.Pointer, n uint32) int64

//go:wasmimport gw result
func gwResult(ptr unsafe.Pointer, size uint32) uint32

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

var errFrame = errors.New("the host's payload is cut short")

func read(n uint32) []byte {
	b := make([]byte, n)
	return b[:gwInput(unsafe.Pointer(unsafe.SliceData(b)), n)]
}

func write(b []byte) { gwOutput(unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))) }

func frame(header, body []byte) []byte {
	b := make([]byte, 4, 4+len(header)+len(body))
	binary.LittleEndian.PutUint32(b, uint32(len(header)))
	return append(append(b, header...), body...)
}

func unframe(b []byte) (header, body []byte, err error) {
	if len(b) == 0 {
		return []byte("{}"), nil, nil
	}
	if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
		return nil, nil, errFrame
	}
	n := binary.LittleEndian.Uint32(b)
	if n == 0 {
		return []byte("{}"), b[4:], nil
	}
	return b[4 : 4+n], b[4+n:], nil
}

// ask asks the host and reads the header of its result into out, which may be nil.
func ask(op uint32, header any, body []byte, out any) ([]byte, error) {
	h, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	return tell(op, h, body, out)
}

// tell is ask with a header that is JSON already.
func tell(op uint32, header, body []byte, out any) ([]byte, error) {
	request := frame(header, body)
	n := gwCall(op, unsafe.Pointer(unsafe.SliceData(request)), uint32(len(request)))
	if n < 0 {
		return nil, Refusal(n)
	}
	result := make([]byte, n)
	gwResult(unsafe.Pointer(unsafe.SliceData(result)), uint32(n))
	answer, content, err := unframe(result)
	if err == nil && out != nil {
		err = json.Unmarshal(answer, out)
	}
	return content, err
}
