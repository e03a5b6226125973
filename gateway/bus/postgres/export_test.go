package postgres

// DueQueries are the queries of a lease by the channels that it wants.
var DueQueries = map[string]string{
	"any channel":   dueQuery(anyChannel, 4),
	"one channel":   dueQuery(oneChannel, 4),
	"some channels": dueQuery(someChannels, 4),
}
