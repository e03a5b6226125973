package ingress_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var itemForm = regexp.MustCompile(`action="/memory/(\w+)/forget"`)

func TestMemoryPage(t *testing.T) {
	h := newHouse(t, echo)
	c := h.loggedIn()
	if page := h.get(c, "/memory").Body; !strings.Contains(page, "Nothing is remembered here") {
		t.Errorf("%s", page)
	}
	if resp := h.post(c, "/memory", url.Values{"text": {"The <b>boiler</b> was serviced in May"}, "title": {"Boiler"}, "tags": {"house, heat"}}); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("keep: %s\n%s", resp.Status, resp.Body)
	}
	h.post(c, "/memory", url.Values{"text": {"The roof is new"}, "reach": {"workspace"}})
	page := h.get(c, "/memory").Body
	if !strings.Contains(page, `<form class="form" method="post" action="/memory">`) {
		t.Error("the form stands without the distances of a form")
	}
	for _, want := range []string{"Boiler", "&lt;b&gt;boiler", "house, heat", "You alone", "Everybody", "trusted"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	if got := h.get(c, "/memory?reach=workspace").Body; strings.Contains(got, "Boiler") || !strings.Contains(got, "The roof is new") {
		t.Error("the list is not by whose it is")
	}
	found := h.get(c, "/memory?q=serviced").Body
	if !strings.Contains(found, "words: place 1 (") || !strings.Contains(found, "meaning: not found") || strings.Contains(found, "roof") {
		t.Errorf("a search shows %s", found)
	}
	id := itemForm.FindStringSubmatch(found)[1]
	if got := h.get(c, "/memory/"+id).Body; !strings.Contains(got, "The &lt;b&gt;boiler&lt;/b&gt; was serviced in May") {
		t.Errorf("the form shows %s", got)
	}
	if resp := h.post(c, "/memory/"+id, url.Values{"text": {"The boiler was serviced in June"}}); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("edit: %s", resp.Status)
	}
	if got := h.get(c, "/memory?q=boiler").Body; !strings.Contains(got, "serviced in June") || strings.Contains(got, "serviced in May") {
		t.Errorf("after the edit: %s", got)
	}
	if resp := h.post(c, "/memory/"+id+"/forget", nil); !strings.Contains(resp.Body, "It is forgotten") {
		t.Errorf("forget: %s", resp.Body)
	}
	if resp := h.get(c, "/memory/"+id); resp.StatusCode != http.StatusNotFound {
		t.Errorf("what is forgotten is shown: %s", resp.Status)
	}
	if resp := h.post(c, "/memory", url.Values{"text": {" "}}); resp.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("nothing is kept with %s", resp.Status)
	}
	if resp := h.get(h.browser(), "/memory"); resp.StatusCode == http.StatusOK {
		t.Errorf("without a login: %s", resp.Status)
	}
}
