// Package config is the gateway's configuration: one YAML file, environment
// and flags, in this order of precedence from the lowest.
//
// Every key has a default, every unknown key is an error with a suggestion, and
// all mistakes are reported at once, each with its line. Secrets stand in it by
// reference only. A channel's own keys belong to its adapter: the core's are
// taken off first and the rest is handed on.
package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Config is a whole configuration, its references to the environment resolved.
type Config struct {
	Listen         string             `yaml:"listen" doc:"Address for webhooks, /healthz and /readyz."`
	Admin          string             `yaml:"admin" doc:"Address for the console, the API and /metrics."`
	Public         string             `yaml:"public_url" doc:"URL under which platforms reach 'listen', such as https://bot.example.org. Needed for webhook mode."`
	AdminURL       string             `yaml:"admin_url" doc:"URL under which people open the console, such as https://gate.example.org. Login links begin with it, and its host is the only name that is answered beside loopback."`
	TLS            TLS                `yaml:"tls" doc:"Certificate with which the gateway itself speaks TLS on 'admin'."`
	TrustedProxies []string           `yaml:"trusted_proxies" doc:"Networks of reverse proxies in front of 'admin', such as 10.0.0.7/32. What they say of a request's origin is believed, and theirs alone."`
	ProxyLogin     ProxyLogin         `yaml:"proxy_login" doc:"A proxy that logs people in to the console and signs who they are, such as Cloudflare Access."`
	Egress         Egress             `yaml:"egress" doc:"How requests leave."`
	Data           string             `yaml:"data" doc:"Folder of the embedded database and everything else that must survive."`
	Key            Key                `yaml:"key" doc:"What unlocks the vault: a file, or {source: ...}. Never inside 'data', never in the same backup."`
	KeyFrom        Key                `yaml:"key_from" doc:"The key that 'key' takes the place of. What it locks is locked with 'key' at the next start; then this can be removed."`
	Vault          Vault              `yaml:"vault"`
	Encrypt        string             `yaml:"encrypt" enum:"none,content" doc:"content encrypts what people and models write in the database, and the files beside it, under the workspace's key. Takes effect with the next start; what is stored already is converted meanwhile."`
	Store          string             `yaml:"store" doc:"sqlite, or a postgres:// URL."`
	Log            Log                `yaml:"log"`
	Models         map[string]Model   `yaml:"models" doc:"Models by the name that 'agent.model' and /model use."`
	Agent          Agent              `yaml:"agent"`
	Memory         Memory             `yaml:"memory"`
	Retention      Retention          `yaml:"retention"`
	Audit          Audit              `yaml:"audit"`
	Policy         string             `yaml:"policy" doc:"File with the rules on tools, destinations and secrets. Without it they follow from agent.tools and agent.hosts."`
	Channels       map[string]Channel `yaml:"channels" doc:"Channels by id."`
}

// What is encrypted at rest besides the secrets.
const (
	EncryptNone    = "none"
	EncryptContent = "content"
)

// Log says what is logged.
type Log struct {
	Level  string `yaml:"level" enum:"debug,info,warn,error" doc:"The least level that is logged."`
	Format string `yaml:"format" enum:"auto,text,json" doc:"auto is text on a terminal and json elsewhere."`
}

// Model is one model that turns may use.
type Model struct {
	Provider  string   `yaml:"provider" doc:"openai, anthropic, gemini, mistral, nearai, openrouter, ollama, compatible (any other endpoint that speaks the dialect of OpenAI) or none."`
	Model     string   `yaml:"model" doc:"The provider's name for the model."`
	BaseURL   string   `yaml:"base_url" doc:"Endpoint; empty means the provider's own."`
	APIKey    string   `yaml:"api_key" doc:"secret://name, or ${ENV}."`
	Fallbacks []string `yaml:"fallbacks" doc:"Other models of this section to try when this one fails."`
	Context   int      `yaml:"context" doc:"Tokens of context to use; 0 means the provider's usual."`
	MaxOutput int      `yaml:"max_output" doc:"Tokens an answer may have; 0 means the provider's default."`
	Vision    *bool    `yaml:"vision" doc:"Whether the model takes images; by default what is known of the model."`
	PriceIn   *float64 `yaml:"price_in" doc:"USD per million tokens in, where the price list does not know the model."`
	PriceOut  *float64 `yaml:"price_out" doc:"USD per million tokens out."`
}

// Agent says how turns are run.
type Agent struct {
	Model        string   `yaml:"model" doc:"Name of the model to start with."`
	Instructions string   `yaml:"instructions" doc:"What the agent is told about itself and its task."`
	Queue        string   `yaml:"queue" enum:"steer,followup,collect,interrupt" doc:"What happens to messages that come while a turn runs."`
	Tools        []string `yaml:"tools" doc:"Tools that the model may be offered: time, calculator, files, notes, memory, http_request, and module:NAME for an installed module that is a tool. Empty: none. Some small models refuse requests with tools."`
	Hosts        []string `yaml:"hosts" doc:"Where http_request may go without a secret, such as https://api.example.com/v1 or https://*.example.com. Only what is named here may lie at a private address."`
	Transcribe   string   `yaml:"transcribe" doc:"Name of the model that writes voice messages down, such as one of OpenAI's whisper-1; empty for none."`
	MaxTurns     int      `yaml:"max_turns" doc:"Turns at a time across conversations."`
	DailySpend   float64  `yaml:"daily_spend" doc:"Cap on the day's estimated spending in USD; -1 for none."`
}

// Retention says how many days things are kept; 0 means for ever.
type Retention struct {
	Bodies   int `yaml:"bodies" doc:"Days that messages that are done with are kept in the queues, with what the platform sent."`
	Dead     int `yaml:"dead" doc:"Days that dead letters are kept."`
	Keys     int `yaml:"keys" doc:"Days that a repeated delivery is recognised."`
	Turns    int `yaml:"turns" doc:"Days that the record of a turn is kept: when it was, and how it ended."`
	Sessions int `yaml:"sessions" doc:"Days after its last message that a conversation's history is forgotten."`
	Replaced int `yaml:"replaced" doc:"Days that history is kept which no longer counts: from before /new, or before a summary."`
	Spending int `yaml:"spending" doc:"Days that the figures of each turn's spending are kept."`
	Audit    int `yaml:"audit" doc:"Days that entries of the audit log are kept."`
}

// Audit says where the audit log's checkpoints go.
type Audit struct {
	Checkpoints string `yaml:"checkpoints" doc:"File to which signed checkpoints of the audit log are appended, outside of 'data'; off for none. Empty: audit.checkpoints beside the key."`
}

// AuditFile is where the checkpoints go, or "" when there are none.
func (c Config) AuditFile() string {
	switch c.Audit.Checkpoints {
	case "off":
		return ""
	case "":
		beside := c.Key.Path
		if beside == "" {
			beside = filepath.Join(configHome(), "gatehouse", "key")
		}
		return filepath.Join(filepath.Dir(beside), "audit.checkpoints")
	}
	return home(c.Audit.Checkpoints)
}

// Channel is one configured account on a platform. Section holds the keys that
// belong to its adapter, as JSON.
type Channel struct {
	Adapter   string          `yaml:"adapter" doc:"telegram."`
	Workspace string          `yaml:"workspace" doc:"Workspace that the channel belongs to: whose people write there, and whose secrets it uses."`
	DM        string          `yaml:"dm" enum:"pairing,allowlist,open,self,disabled" doc:"Who may write in direct chats. self, which is what whatsapp starts with: only the person whose account it is, in the chat with themselves."`
	Groups    string          `yaml:"groups" enum:"allowlist,open,disabled" doc:"In which rooms the bot answers."`
	Mention   bool            `yaml:"mention" doc:"In rooms, answer only when mentioned or replied to."`
	Allow     []string        `yaml:"allow" doc:"Immutable ids of senders and conversations. Empty allows nobody."`
	Rooms     map[string]Room `yaml:"rooms" doc:"What is different in single rooms, by the id of the conversation. A room that stands here is admitted."`
	SendRate  string          `yaml:"send_rate" enum:"platform,unlimited" doc:"Whether the platform's rates are kept."`
	Documents string          `yaml:"documents" enum:"off,quiet,tell" doc:"Whether the documents that people send are remembered by themselves: quiet says nothing of it, tell says what is kept and how to take it back."`
	Stream    string          `yaml:"stream" enum:"edit,off" doc:"Whether answers are shown while they grow."`
	ReplyTo   ReplyTo         `yaml:"reply_to" doc:"A conversation of another channel where answers go, in the place of back."`
	Section   json.RawMessage `yaml:"-"`
	Line      int             `yaml:"-"` // where the section stands
}

// ReplyTo is a conversation of another channel. The zero ReplyTo is none.
type ReplyTo struct {
	Channel      string `yaml:"channel" doc:"The channel's id."`
	Account      string `yaml:"account" doc:"The installation, where the channel has several."`
	Conversation string `yaml:"conversation" doc:"The immutable id of the conversation."`
	Thread       string `yaml:"thread" doc:"The thread in it; empty for none."`
}

// Room is what is different in one room.
type Room struct {
	Mention      *bool     `yaml:"mention" doc:"Answer only when mentioned or replied to; without it, as in the channel."`
	Allow        *[]string `yaml:"allow" doc:"Ids of the senders, or of members, who may use the bot there. Without it everybody in the room may; empty allows nobody."`
	Model        string    `yaml:"model" doc:"Name of the model that conversations there start with."`
	Instructions string    `yaml:"instructions" doc:"Added to 'agent.instructions'."`
	Documents    string    `yaml:"documents" enum:"off,quiet,tell" doc:"Whether documents that are sent there are remembered by themselves; without it, as in the channel."`
	Tools        *[]string `yaml:"tools" doc:"The only tools that may be called there. Without it, those that are there elsewhere; empty allows none."`
}

// Days is a number of days as a duration.
func Days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// Default is the configuration of a machine that has none.
func Default() Config {
	return Config{
		Listen:     "127.0.0.1:8484",
		Admin:      "127.0.0.1:8485",
		Data:       filepath.Join(dataHome(), "gatehouse"),
		Key:        Key{Source: KeyFile, Path: filepath.Join(configHome(), "gatehouse", "key")},
		Store:      "sqlite",
		Encrypt:    EncryptNone,
		ProxyLogin: ProxyLogin{Header: "Cf-Access-Jwt-Assertion"},
		Log:        Log{Level: "info", Format: "auto"},
		Agent: Agent{
			Model: "default", Queue: "steer", MaxTurns: 64, DailySpend: 5,
			Instructions: "You are a helpful assistant in a chat. Answer in the language of the person. Be brief unless they ask for more.",
		},
		Memory:    Memory{Embedder: EmbedderLocal, Fusion: "score", ChunkTokens: 220, ChunkOverlap: 30, Recall: 1000},
		Retention: Retention{Bodies: 30, Dead: 90, Keys: 400, Turns: 30, Sessions: 365, Replaced: 30, Spending: 400, Audit: 400},
	}
}

// defaultChannel is what a channel's section starts from.
func defaultChannel() Channel {
	return Channel{DM: "pairing", Groups: "allowlist", Mention: true, SendRate: "platform", Stream: "edit", Documents: "off"}
}

// DefaultPath is where the configuration is looked for when nothing names it.
func DefaultPath() string { return filepath.Join(configHome(), "gatehouse", "gatehouse.yaml") }

func configHome() string { return xdg("XDG_CONFIG_HOME", ".config") }

func dataHome() string { return xdg("XDG_DATA_HOME", ".local", "share") }

func xdg(env string, under ...string) string {
	if d := os.Getenv(env); filepath.IsAbs(d) {
		return d
	}
	home, err := os.UserHomeDir()
	if err != nil { // no home: a service without one names its folders
		home = string(filepath.Separator)
	}
	return filepath.Join(append([]string{home}, under...)...)
}

// home writes a leading "~/" out.
func home(path string) string {
	rest, ok := strings.CutPrefix(path, "~/")
	if !ok {
		return path
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return path
	}
	return filepath.Join(dir, rest)
}
