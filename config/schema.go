package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Schema is the JSON schema of a configuration, for editors. adapters maps
// each adapter's name to the schema of its own keys.
func Schema(adapters map[string][]byte, providers []string) ([]byte, error) {
	s := structSchema(reflect.TypeFor[Config](), reflect.ValueOf(Default()))
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Gatehouse configuration"
	props := s["properties"].(map[string]any) //nolint:forcetypeassert // made right above
	one, err := channelSchema(adapters)
	if err != nil {
		return nil, err
	}
	props["channels"] = mapOf(one, "Channels by id.")
	model := structSchema(reflect.TypeFor[Model](), reflect.Value{})
	model["properties"].(map[string]any)["provider"].(map[string]any)["enum"] = providers //nolint:forcetypeassert // made right above
	model["required"] = []string{"provider"}
	props["models"] = mapOf(model, "Models by the name that 'agent.model' and /model use.")
	return json.MarshalIndent(s, "", "  ")
}

func mapOf(value map[string]any, doc string) map[string]any {
	return map[string]any{
		"type": "object", "description": doc, "additionalProperties": value,
		"propertyNames": map[string]any{"pattern": "^[A-Za-z0-9_-]{1,40}$"},
	}
}

// channelSchema joins the core's keys with each adapter's own, chosen by the
// value of "adapter".
func channelSchema(adapters map[string][]byte) (map[string]any, error) {
	core := structSchema(reflect.TypeFor[Channel](), reflect.ValueOf(defaultChannel()))
	shared := core["properties"].(map[string]any) //nolint:forcetypeassert // made right above
	var names []string
	var kinds []any
	for _, name := range sortedKeys(adapters) {
		var own struct {
			Properties map[string]any `json:"properties"`
			Required   []string       `json:"required"`
		}
		if err := json.Unmarshal(adapters[name], &own); err != nil {
			return nil, fmt.Errorf("schema of %s: %w", name, err)
		}
		all := map[string]any{}
		for k, v := range own.Properties {
			all[k] = v
		}
		for k, v := range shared {
			all[k] = v
		}
		all["adapter"] = map[string]any{"const": name}
		kinds = append(kinds, map[string]any{
			"type": "object", "properties": all, "additionalProperties": false,
			"required": append([]string{"adapter"}, own.Required...),
		})
		names = append(names, name)
	}
	return map[string]any{
		"type": "object", "required": []string{"adapter"}, "oneOf": kinds,
		"properties": map[string]any{"adapter": map[string]any{"enum": names}},
	}, nil
}

func sortedKeys(m map[string][]byte) []string {
	set := map[string]int{}
	for k := range m {
		set[k] = 0
	}
	return keysOf(set)
}

func structSchema(t reflect.Type, def reflect.Value) map[string]any {
	props := map[string]any{}
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		v := reflect.Value{}
		if def.IsValid() {
			v = def.Field(i)
		}
		p := typeSchema(f.Type, v)
		if doc := f.Tag.Get("doc"); doc != "" {
			p["description"] = doc
		}
		if enum := f.Tag.Get("enum"); enum != "" {
			p["enum"] = strings.Split(enum, ",")
		}
		props[name] = p
	}
	return map[string]any{"type": "object", "properties": props, "additionalProperties": false}
}

func typeSchema(t reflect.Type, def reflect.Value) map[string]any {
	if t == reflect.TypeFor[Key]() {
		return map[string]any{"oneOf": []any{map[string]any{"type": "string"}, structSchema(t, reflect.Value{})}}
	}
	switch t.Kind() {
	case reflect.Struct:
		return structSchema(t, def)
	case reflect.Map:
		m := mapOf(typeSchema(t.Elem(), reflect.Value{}), "")
		if t.Elem() == reflect.TypeFor[Room]() { // ids of platforms
			m["propertyNames"] = map[string]any{"pattern": "^[^@#+*\\s]+$"}
		}
		return m
	case reflect.Slice:
		return map[string]any{"type": "array", "items": typeSchema(t.Elem(), reflect.Value{})}
	case reflect.Pointer:
		return typeSchema(t.Elem(), reflect.Value{})
	}
	names := map[reflect.Kind]string{reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer", reflect.Float64: "number"}
	p := map[string]any{"type": names[t.Kind()]}
	if def.IsValid() && !def.IsZero() && !isFolder(def) {
		p["default"] = def.Interface()
	}
	return p
}

// isFolder keeps this machine's home out of the schema.
func isFolder(v reflect.Value) bool {
	return v.Kind() == reflect.String && strings.HasPrefix(v.String(), "/")
}
