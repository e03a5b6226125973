// Package tool will hold the tools that come with the gateway. The contract is
// agent.Tool; each tool says its effect and labels what it returns.
package tool
