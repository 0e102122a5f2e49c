// Package scripts holds the bundled objects, as they lie in this folder. A station
// that is started without a scripts folder serves them from inside its program.
package scripts

import "embed"

// Files are the scripts by their paths below this folder.
//
//go:embed tutorial basics advanced
var Files embed.FS
