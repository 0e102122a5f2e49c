//go:build !race

package luahost

// What the tests take by default.
const (
	underRace     = false
	bombsDrawn    = 0 // all
	hostilesDrawn = 25
	benignInputs  = 500
	programsDrawn = 200
)
