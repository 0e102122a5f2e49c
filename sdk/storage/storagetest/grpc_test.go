package storagetest

import "testing"

// TestMemoryThroughGRPC tests the shims by a store that is known to be right.
func TestMemoryThroughGRPC(t *testing.T) { Run(t, ThroughGRPC(maker(NewMemory()))) }
