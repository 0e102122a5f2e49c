//go:build race

package luahost

// What the tests take by default with the race detector, with which scripts run some ten
// times as long.
const (
	underRace     = true
	bombsDrawn    = 4
	hostilesDrawn = 6
	benignInputs  = 50
	programsDrawn = 30
)
