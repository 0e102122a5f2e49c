package main

import (
	"net"
	"testing"

	"github.com/dbbasic/station/framework/config"
	"github.com/dbbasic/station/framework/listen"
)

// TestPlaces: the line that says a station is ready names each address, the one for
// a browser first.
func TestPlaces(t *testing.T) {
	tcp := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8001}
	socket := &net.UnixAddr{Net: "unix", Name: "/run/s"}
	at := func(name, network string) config.Plugin {
		return config.Plugin{Name: name, Listen: listen.Address{Network: network}}
	}
	got := places([]config.Plugin{at("jsonl", "unix"), at("http", "tcp"), at("other", "tcp"), at("http", "unix")}, []net.Addr{socket, tcp, tcp, socket})
	if want := "http://127.0.0.1:8001, jsonl at unix:/run/s, other at 127.0.0.1:8001, http at unix:/run/s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
