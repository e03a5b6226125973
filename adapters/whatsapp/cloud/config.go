package cloud

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/section"
)

// settings are the adapter's own keys of a channel's section.
type settings struct {
	BaseURL          string `json:"base_url"`
	MediaURL         string `json:"media_url"`
	Version          string `json:"version"`
	Number           string `json:"phone_number_id"`
	Business         string `json:"business_id"`
	App              string `json:"app_id"`
	Token            string `json:"token"`
	AppSecret        string `json:"app_secret"`
	VerifyToken      string `json:"verify_token"`
	Template         string `json:"template"`
	TemplateLanguage string `json:"template_language"`
	TemplateText     string `json:"template_text"`
}

func defaults() settings {
	return settings{
		BaseURL: "https://graph.facebook.com", MediaURL: "https://lookaside.fbsbx.com", Version: "v23.0",
		TemplateLanguage: "en_US", TemplateText: "no",
	}
}

const schema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["phone_number_id", "token", "app_secret"],
  "additionalProperties": false,
  "properties": {
    "phone_number_id": {"type": "string", "description": "The phone number's id, digits only: not the number itself."},
    "token": {"type": "string", "description": "The access token of a system user, as a reference such as secret://wa-token."},
    "app_secret": {"type": "string", "description": "The app's secret, with which Meta signs its webhooks; a reference."},
    "app_id": {"type": "string", "description": "The app's id. With it the webhook is registered by itself."},
    "business_id": {"type": "string", "description": "The id of the WhatsApp Business Account. With it the account is subscribed by itself."},
    "verify_token": {"type": "string", "description": "What Meta shows when it checks the webhook that you have entered by hand; a reference. Not needed with app_id."},
    "template": {"type": "string", "description": "The name of an approved template that is sent when the 24 hours are over. Empty: none."},
    "template_language": {"type": "string", "default": "en_US"},
    "template_text": {"enum": ["no", "yes"], "default": "no", "description": "yes: the template has one parameter, and the answer is put there."},
    "version": {"type": "string", "default": "v23.0", "description": "Of the Graph API."},
    "base_url": {"type": "string", "format": "uri", "default": "https://graph.facebook.com"},
    "media_url": {"type": "string", "format": "uri", "default": "https://lookaside.fbsbx.com", "description": "Where Meta serves what people send."}
  }
}
`

// parse reads a section and lists everything that is wrong with it.
func parse(cfg json.RawMessage) (settings, []channels.Fault) {
	s := defaults()
	f, ok := section.Read(cfg, "whatsapp-cloud", map[string]any{
		"base_url": &s.BaseURL, "media_url": &s.MediaURL, "version": &s.Version, "phone_number_id": &s.Number, "business_id": &s.Business,
		"app_id": &s.App, "token": &s.Token, "app_secret": &s.AppSecret, "verify_token": &s.VerifyToken,
		"template": &s.Template, "template_language": &s.TemplateLanguage, "template_text": &s.TemplateText,
	})
	if ok {
		s.check(f)
	}
	return s, f.List()
}

var (
	idForm      = regexp.MustCompile(`^[0-9]{5,25}$`)
	versionForm = regexp.MustCompile(`^v[0-9]{1,3}\.[0-9]{1,2}$`)
	nameForm    = regexp.MustCompile(`^[a-z0-9_]{1,512}$`)
)

// check notes the values that mean nothing.
func (s *settings) check(f *section.Faults) {
	if !idForm.MatchString(s.Number) {
		f.Add("phone_number_id", "must be the phone number's id, digits only; the page API Setup of your app shows it below the number")
	}
	for path, id := range map[string]string{"app_id": s.App, "business_id": s.Business} {
		if id != "" && !idForm.MatchString(id) {
			f.Add(path, "must be an id of digits")
		}
	}
	if strings.TrimSpace(s.Token) == "" {
		f.Add("token", "is missing: store the access token with `gatehouse secrets set NAME` and write secret://NAME here")
	}
	if strings.TrimSpace(s.AppSecret) == "" {
		f.Add("app_secret", "is missing: without it nobody can tell Meta's webhooks from a stranger's; store it with `gatehouse secrets set NAME`")
	}
	s.BaseURL = f.URL("base_url", s.BaseURL, defaults().BaseURL)
	s.MediaURL = f.URL("media_url", s.MediaURL, defaults().MediaURL)
	if !versionForm.MatchString(s.Version) {
		f.Add("version", "must be a version of the Graph API, such as v23.0")
	}
	if s.Template != "" && !nameForm.MatchString(s.Template) {
		f.Add("template", "must be the name of a template: a-z, 0-9 and _")
	}
	if s.TemplateText != "no" && s.TemplateText != "yes" {
		f.Add("template_text", "must be yes or no, in quotes")
	}
}
