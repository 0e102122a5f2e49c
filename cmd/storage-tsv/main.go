// Storage-tsv is the bundled TSV storage as a plugin of its own.
package main

import (
	storagetsv "github.com/dbbasic/station/plugins/storage-tsv"
	"github.com/dbbasic/station/sdk"
)

func main() { sdk.Serve(storagetsv.New(sdk.Log(), "bundled")) }
