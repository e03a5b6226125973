//go:build wasip1

package gatehouse

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"unsafe"
)

//go:wasmimport gw input
func gwInput(ptr unsafe.Pointer, size uint32) uint32

//go:wasmimport gw output
func gwOutput(ptr unsafe.Pointer, n uint32)

//go:wasmimport gw call
func gwCall(op uint32, ptr unsafe.Pointer, n uint32) int64

//go:wasmimport gw result
func gwResult(ptr unsafe.Pointer, size uint32) uint32

// What the gateway can be asked for.
const (
	callHTTP = 1
	callGet  = 2
	callPut  = 3
	callEmit = 4
	callLog  = 5

	callSocket = 11
	callTimer  = 13
	callLink   = 16

	logHeader = `{"level":"INFO"}`
)

var errFrame = errors.New("the gateway's payload is cut short")

// A payload is the length of its header, the header as JSON, and a body.
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
	return b[4 : 4+n], b[4+n:], nil
}

func read(n uint32) []byte {
	b := make([]byte, n)
	return b[:gwInput(unsafe.Pointer(unsafe.SliceData(b)), n)]
}

func write(b []byte) { gwOutput(unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))) }

// ask makes a request to the gateway and reads the result's header into out,
// which may be nil.
func ask(op uint32, header any, body []byte, out any) ([]byte, error) {
	h, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	request := frame(h, body)
	n := gwCall(op, unsafe.Pointer(unsafe.SliceData(request)), uint32(len(request)))
	if n < 0 {
		return nil, Refusal(n)
	}
	result := make([]byte, n)
	gwResult(unsafe.Pointer(unsafe.SliceData(result)), uint32(n))
	head, content, err := unframe(result)
	if err == nil && out != nil {
		err = json.Unmarshal(head, out)
	}
	return content, err
}
