package telegramtest

import (
	"encoding/json"
	"regexp"
	"slices"
	"unicode/utf8"
)

// commandScope says to whom a list of commands is shown.
type commandScope struct {
	kind     string
	chat     int64
	user     int64
	language string
}

// Command is an entry of the bot's menu.
type Command struct {
	Name        string
	Description string
}

var commandName = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)

func (s *Server) scopeOf(q *query) (commandScope, error) {
	scope := commandScope{kind: "default", language: q.str("language_code")}
	raw := q.str("scope")
	if raw == "" {
		return scope, nil
	}
	var fields struct {
		Type string          `json:"type"`
		Chat json.RawMessage `json:"chat_id"`
		User int64           `json:"user_id"`
	}
	if json.Unmarshal([]byte(raw), &fields) != nil {
		return scope, badRequest("can't parse BotCommandScope JSON object")
	}
	scope.kind = fields.Type
	switch fields.Type {
	case "default", "all_private_chats", "all_group_chats", "all_chat_administrators":
		return scope, nil
	case "chat", "chat_administrators", "chat_member":
	default:
		return scope, badRequest("can't parse BotCommandScope: Unsupported type specified")
	}
	given, _ := argument(fields.Chat)
	c := s.findChat(given)
	if c == nil {
		return scope, badRequest("chat not found")
	}
	scope.chat, scope.user = c.id, fields.User
	return scope, nil
}

func (s *Server) setMyCommands(q *query) (any, error) {
	var list []wireCommand
	if json.Unmarshal([]byte(q.str("commands")), &list) != nil {
		return nil, badRequest("can't parse commands JSON object")
	}
	scope, err := s.scopeOf(q)
	if err != nil {
		return nil, err
	}
	if len(list) > 100 {
		return nil, badRequest("BOT_COMMANDS_TOO_MUCH")
	}
	for i, c := range list {
		list[i].Command = trimSlash(c.Command)
		n := utf8.RuneCountInString(c.Description)
		switch {
		case !commandName.MatchString(list[i].Command):
			return nil, badRequest("BOT_COMMAND_INVALID")
		case n == 0:
			return nil, badRequest("command description must be non-empty")
		case n > 256:
			return nil, badRequest("BOT_COMMAND_DESCRIPTION_INVALID")
		}
	}
	if len(list) == 0 {
		delete(s.commands, scope)
		return true, nil
	}
	s.commands[scope] = list
	return true, nil
}

func trimSlash(name string) string {
	if len(name) > 0 && name[0] == '/' {
		return name[1:]
	}
	return name
}

func (s *Server) getMyCommands(q *query) (any, error) {
	scope, err := s.scopeOf(q)
	if err != nil {
		return nil, err
	}
	return slices.Concat([]wireCommand{}, s.commands[scope]), nil
}

func (s *Server) deleteMyCommands(q *query) (any, error) {
	scope, err := s.scopeOf(q)
	if err != nil {
		return nil, err
	}
	delete(s.commands, scope)
	return true, nil
}

// Commands is the bot's menu in the default scope, without a language.
func (s *Server) Commands() []Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Command
	for _, c := range s.commands[commandScope{kind: "default"}] {
		out = append(out, Command{c.Command, c.Description})
	}
	return out
}
