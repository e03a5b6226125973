package agent

// ContextMark begins a message that tells the model about the circumstances
// and that nobody addressed to it.
const ContextMark = "[context] "
