package host

import (
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
)

// invoke is Host.Invoke, whose calls go together over one stream.
var invoke = shim.Method[Call, Result]{Name: pb.HostService_Invoke_FullMethodName, Req: shim.Proto(encodeCall, decodeCall), Result: shim.Proto(encodeResult, decodeResult)}
