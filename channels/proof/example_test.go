package proof_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels/proof"
)

// How a platform signs is data. Whoever has the secret judges; here that is the
// example itself.
func ExampleChecker_Check() {
	checker, err := proof.New(proof.Spec{
		Kind: proof.HMAC, Secret: "secret://hook", Header: "X-Signature", Prefix: "sha256=",
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	secret, body := []byte("what the platform was given"), []byte(`{"text":"hello"}`)
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	header := http.Header{"X-Signature": {"sha256=" + hex.EncodeToString(mac.Sum(nil))}}

	ctx := context.Background()
	fmt.Println(checker.Check(ctx, [][]byte{secret}, proof.Request{Header: header, Body: body, At: time.Now()}))
	err = checker.Check(ctx, [][]byte{secret}, proof.Request{Header: header, Body: []byte(`{"text":"bye"}`), At: time.Now()})
	fmt.Println(errors.Is(err, proof.ErrRefused))
	// Output:
	// <nil>
	// true
}
