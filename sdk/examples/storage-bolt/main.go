// Storage-bolt is a storage plugin of a station: it keeps everything in one file of
// the database bbolt. README.md says how to use it.
package main

import (
	"log/slog"

	"github.com/dbbasic/station/sdk"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/kv"
)

func main() { sdk.Serve(newStorage(sdk.Log())) }

// newStorage gives the plugin. Package kv makes a storage of any ordered key-value
// database with transactions: database.go is all of it that is about bbolt. A
// database of another kind implements storage.Storage itself instead.
func newStorage(log *slog.Logger) storage.Storage {
	return kv.New(kv.Options{
		Info: plugin.Info{
			Name:    "bolt", // the word behind "storage" in the station's configuration
			Version: "0.1.0",
			Options: plugin.Schema{{
				Name: "file", Type: plugin.String, Default: "objects.db",
				Doc: "The name of the database's file in the data folder.",
			}},
		},
		Log: log,
		Open: func(dir string, v plugin.Values) (kv.DB, error) {
			return openDatabase(dir, v.String("file"))
		},
	})
}
