package main

import (
	"net/url"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
)

// scriptOllama starts a model server that has these models and wants no key,
// and says in OLLAMA_HOST where it is.
func scriptOllama(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 1, "ollama MODEL...")
	m, err := agenttest.Start(agenttest.Config{Script: agenttest.Directed, Models: a})
	ts.Check(err)
	worldOf(ts).shut = append(worldOf(ts).shut, m.Close)
	u, err := url.Parse(m.OpenAI())
	ts.Check(err)
	ts.Setenv("OLLAMA_HOST", u.Host)
}
