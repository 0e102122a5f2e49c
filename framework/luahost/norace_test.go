//go:build !race

package luahost

// bombsDrawn is the default of -bombs.
const bombsDrawn = 0
