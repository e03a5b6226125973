package channels_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/channels"
)

const plain = "sesame-7Qx"

// TestSecretIsNeverPrinted tries every verb, flag and place that fmt knows.
func TestSecretIsNeverPrinted(t *testing.T) {
	s := channels.NewSecret(plain)
	via := channels.Via{Token: s}
	shapes := map[string]any{
		"value": s, "pointer": &s, "struct": via, "pointer to struct": &via, "event": channels.Event{Via: &via, Content: channels.Message{}},
		"slice": []channels.Secret{s}, "map": map[string]channels.Secret{"k": s}, "key": map[channels.Secret]int{s: 1}, "any": []any{s, &via},
	}
	for name, shape := range shapes {
		for verb := 'A'; verb <= 'z'; verb++ {
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "40", ".3", "+#"} {
				if verb > 'Z' && verb < 'a' {
					continue
				}
				format := "%" + flags + string(verb)
				if shows(fmt.Sprintf(format, shape)) {
					t.Errorf("%s of a %s shows the value", format, name)
				}
			}
		}
		if shows(fmt.Sprint(shape)) || shows(fmt.Sprintln(shape)) {
			t.Errorf("print of a %s shows the value", name)
		}
	}
	if shows(fmt.Errorf("wrapped %v: %w", s, errors.New("x")).Error()) {
		t.Error("an error shows the value")
	}
	if got := s.String(); got != "[secret]" {
		t.Errorf("String is %q", got)
	}
}

// shows looks for the value and for its parts in encodings that fmt has.
func shows(text string) bool {
	for _, form := range []string{plain, fmt.Sprintf("%x", plain), fmt.Sprintf("%X", plain), fmt.Sprintf("% x", plain), fmt.Sprint([]byte(plain)), plain[:6]} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

func TestSecretIsNeverLogged(t *testing.T) {
	s := channels.NewSecret(plain)
	for name, open := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			log := slog.New(open(&b)).With("with", s).WithGroup("group")
			log.Info("message", "value", s, "pointer", &s, slog.Group("inner", "s", s), "any", slog.AnyValue(s))
			if shows(b.String()) {
				t.Errorf("the log shows the value: %s", b.String())
			}
			if n := strings.Count(b.String(), "[secret]"); n != 5 {
				t.Errorf("%d of 5 values are marked as secret: %s", n, b.String())
			}
		})
	}
}

func TestSecretInJSON(t *testing.T) {
	b, err := json.Marshal(channels.Via{Token: channels.NewSecret(plain)})
	if err != nil {
		t.Fatal(err)
	}
	var back channels.Via
	if err := json.Unmarshal(b, &back); err != nil || back.Token.Reveal() != plain {
		t.Errorf("%v: a sealed event does not give its token back", err)
	}
	if !(channels.Secret{}).Empty() || !channels.NewSecret("").Empty() || channels.NewSecret("x").Empty() {
		t.Error("Empty is wrong")
	}
}
