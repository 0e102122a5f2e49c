//go:build race

package luahost

// bombsDrawn is the default of -bombs: all take three minutes with the race detector.
const bombsDrawn = 12
