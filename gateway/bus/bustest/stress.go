package bustest

var stressCases = []testCase{}
