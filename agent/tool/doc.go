// Package tool holds the tools that come with the gateway, each group in a
// folder of its own. The contract is agent.Tool; each tool says its effect and
// labels what it returns.
package tool
