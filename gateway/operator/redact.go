package operator

import "encoding/json"

// shown returns a record's body as people may see it: without the tokens of
// reply paths, which let whoever holds them speak as the bot. A body that is
// not JSON is not shown at all.
func shown(body json.RawMessage) json.RawMessage {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return nil
	}
	hideTokens(v)
	out, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return out
}

func hideTokens(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			hideTokens(e)
		}
	case map[string]any:
		if via, ok := v["via"].(map[string]any); ok {
			delete(via, "sealed")
			via["token"] = "[secret]"
		}
		for _, e := range v {
			hideTokens(e)
		}
	}
}
