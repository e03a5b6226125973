package telegramtest

import (
	"net/url"
	"strconv"
	"strings"
)

// appendLink adds a link or a mention of a user by id; a target that is no URL
// leaves plain text, as on the platform.
func appendLink(list []Entity, e Entity, target string) []Entity {
	if id, ok := linkedUser(target); ok {
		e.Type, e.User = "text_mention", &Profile{ID: id}
		return append(list, e)
	}
	checked, ok := checkLink(target)
	if !ok {
		return list
	}
	e.Type, e.URL = "text_link", checked
	return append(list, e)
}

func linkedUser(target string) (int64, bool) {
	rest, ok := strings.CutPrefix(strings.ToLower(target), "tg:")
	if !ok {
		return 0, false
	}
	digits, ok := strings.CutPrefix(strings.TrimPrefix(rest, "//"), "user?id=")
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseInt(digits, 10, 64)
	return id, err == nil && id > 0
}

// checkLink brings a URL into the form the platform stores: with a scheme and a
// path, the host in small letters.
func checkLink(target string) (string, bool) {
	lower := strings.ToLower(target)
	for _, scheme := range []string{"tg:", "ton:", "tonsite:"} {
		if strings.HasPrefix(lower, scheme) {
			rest := strings.TrimPrefix(target[len(scheme):], "//")
			if rest == "" {
				return "", false
			}
			return strings.TrimSuffix(scheme, ":") + "://" + rest, true
		}
	}
	if !strings.HasPrefix(lower, "http://") && !strings.HasPrefix(lower, "https://") {
		if strings.Contains(target, "://") {
			return "", false
		}
		target = "http://" + target
	}
	u, err := url.Parse(target)
	if err != nil || !strings.Contains(u.Hostname(), ".") && !strings.Contains(u.Host, "[") {
		return "", false
	}
	u.Host = strings.ToLower(u.Host)
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), true
}
