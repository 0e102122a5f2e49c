//go:build race

package luahost

// What the tests take by default with the race detector, with which scripts run some ten
// times as long.
const (
	underRace     = true
	bombsDrawn    = 6
	hostilesDrawn = 8
	benignInputs  = 100
	programsDrawn = 50
)
