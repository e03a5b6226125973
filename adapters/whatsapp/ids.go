//go:build !nowhatsapp

package whatsapp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"go.mau.fi/whatsmeow/types"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// ids makes the ids of what the bot sends and knows them again. Everything that
// a person types on a phone goes out under the same account, so that an id is
// all that tells the two apart.
type ids struct{ key []byte }

const (
	webPrefix = "3EB0" // as WhatsApp's own web client begins its ids
	idBytes   = 7      // of the key's hash; after them comes a check
)

func newIDs(secret channels.Secret) ids { return ids{[]byte(secret.Reveal())} }

func (x ids) mac(parts ...string) []byte {
	m := hmac.New(sha256.New, x.key)
	m.Write([]byte(strings.Join(parts, "\x00")))
	return m.Sum(nil)
}

// of is the id of the message that a part becomes; what tells apart several
// messages of one part. The same part gives the same id after every crash, and
// phones show an id once.
func (x ids) of(partKey, what string) string {
	b := x.mac("id", partKey, what)[:idBytes]
	return webPrefix + strings.ToUpper(hex.EncodeToString(append(b, x.mac("check", string(b))[:2]...)))
}

// own reports whether the bot made an id; one that a person's client made is
// taken for it once in 65,536 times.
func (x ids) own(id string) bool {
	body, ok := strings.CutPrefix(id, webPrefix)
	b, err := hex.DecodeString(body)
	return ok && err == nil && len(b) == idBytes+2 && hmac.Equal(b[idBytes:], x.mac("check", string(b[:idBytes]))[:2])
}

// reference is a message's id as the gateway keeps it. Quoting and reacting need
// the author beside the platform's id; the bot's own messages have none.
func reference(id types.MessageID, author types.JID) channels.MessageID {
	if author.IsEmpty() {
		return channels.MessageID(id)
	}
	return channels.MessageID(id + "/" + author.ToNonAD().String())
}

// referred takes a reference apart; the empty author is the bot.
func referred(m channels.MessageID) (id types.MessageID, author types.JID, ok bool) {
	id, by, others := strings.Cut(string(m), "/")
	if !others {
		return id, types.JID{}, id != ""
	}
	author, err := types.ParseJID(by)
	return id, author, err == nil && id != "" && author.User != ""
}
