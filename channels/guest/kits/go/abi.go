//go:build wasip1

package gatehouse

import (
	"encoding/binary"
	"encoding/json"
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

func read(n uint32) []byte {
	b := make([]byte, n)
	return b[:gwInput(unsafe.Pointer(unsafe.SliceData(b)), n)]
}

func write(b []byte) { gwOutput(unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))) }

// frame makes a payload: the length of a header, the header as JSON, and a body.
func frame(header, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(header)+len(body)), uint32(len(header)))
	return append(append(b, header...), body...)
}

func unframe(b []byte) (header, body []byte) {
	if len(b) < 4 || binary.LittleEndian.Uint32(b) == 0 {
		return []byte("{}"), b[min(4, len(b)):]
	}
	n := 4 + binary.LittleEndian.Uint32(b) // the host wrote it
	return b[4:n], b[n:]
}

// ask asks the host, and reads the header of its result into out, which may be
// nil. A json.RawMessage goes as it is. The error is a Refusal if the host refused.
func ask(op uint32, header any, body []byte, out any) ([]byte, error) {
	h, isJSON := header.(json.RawMessage)
	if !isJSON {
		var err error
		if h, err = json.Marshal(header); err != nil {
			return nil, err
		}
	}
	request := frame(h, body)
	n := gwCall(op, unsafe.Pointer(unsafe.SliceData(request)), uint32(len(request)))
	if n < 0 {
		return nil, Refusal(n)
	}
	result := make([]byte, n)
	gwResult(unsafe.Pointer(unsafe.SliceData(result)), uint32(n))
	answer, content := unframe(result)
	if out == nil {
		return content, nil
	}
	return content, json.Unmarshal(answer, out)
}
