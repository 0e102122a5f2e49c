package transporthttp

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// knownHost reports whether the request names this machine: localhost, a
// loopback address, or the address at which the connection arrived, each with
// any port or none. A name that a foreign DNS server resolves to this machine
// (DNS rebinding) is none of these; an address cannot be rebound.
func knownHost(r *http.Request) bool {
	name, ok := hostName(r.Host)
	if !ok || r.URL.IsAbs() && r.URL.Host == "" { // an absolute target that names no host: net/http takes the header's
		return false
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(name)
	if err != nil || addr.Zone() != "" { // a zone means something on the client's machine only
		return false
	}
	addr = addr.Unmap()
	if addr.IsLoopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.AddrPort().Addr().Unmap().WithZone("") == addr
}

// hostName takes the port and the brackets off a Host header.
func hostName(s string) (string, bool) {
	name, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		name, port = s[:i], s[i+1:]
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return "", false
		}
	}
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return inner, ok && strings.Contains(inner, ":")
	}
	return name, name != "" && !strings.Contains(name, ":")
}
