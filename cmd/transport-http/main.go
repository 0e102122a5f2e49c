// Transport-http is the bundled HTTP transport as a plugin of its own.
package main

import (
	transporthttp "github.com/dbbasic/station/plugins/transport-http"
	"github.com/dbbasic/station/sdk"
)

func main() { sdk.Serve(transporthttp.New(sdk.Log(), "bundled")) }
