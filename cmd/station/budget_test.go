package main_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// keeperSource keeps 28 MiB from its first call on, and holds them busily for as
// many seconds as the request says.
const keeperSource = `
local kept = {}
function GET(request)
  for i = #kept + 1, 28 do kept[i] = ("x"):rep(2^20) end
  local ends = time.now() + (tonumber(request.hold) or 0)
  while time.now() < ends do end
  return #kept
end
`

// TestStationMemory has more objects hold memory at once than the budget of all of
// them allows: some are refused, which the others do not notice. Once they rest,
// what they keep is in nobody's way.
func TestStationMemory(t *testing.T) {
	plainOnly(t)
	const keepers = 16
	work, folder := workFolder(t)
	name := func(i int) string { return fmt.Sprintf("keeper_%d", i) }
	for i := range keepers {
		if err := os.WriteFile(filepath.Join(folder, name(i)+".lua"), []byte(keeperSource), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := launchIn(t, work)
	c, hello := client(t), s.sayHello()

	held, refused := 0, 0
	for tries := 1; ; tries++ {
		var calls sync.WaitGroup
		var answers [keepers]asked
		for i := range keepers {
			calls.Go(func() { answers[i] = s.ask(c, name(i)+"?hold=2") })
		}
		calls.Wait()
		held, refused = 0, 0
		for i, a := range answers {
			switch {
			case a.status == http.StatusOK && a.body == "28":
				held++
			case a.status == http.StatusTooManyRequests && a.code == "station_memory" && a.retryAfter != "":
				refused++
			case !*strict && a.code == "time_limit" && a.took >= callTime: // on a busy machine
				t.Logf("%s: %d %s", name(i), a.status, a.body)
			default:
				t.Errorf("%s: %d %s after %v; want 28, or a 429 with station_memory and Retry-After", name(i), a.status, a.body, a.took)
			}
		}
		if held >= 2 && refused >= 2 {
			break
		}
		if tries == 5 || *strict { // a busy machine may have run too few of them at once
			t.Errorf("%d calls got their memory and %d were refused it; want some of both", held, refused)
			break
		}
	}
	t.Logf("of %d calls that each need 28 MiB at once, %d got them and %d were refused", keepers, held, refused)
	hello.lap(t, "while the memory is short")

	for round := range 2 {
		for i := range keepers {
			if a := s.ask(c, name(i)); a.status != http.StatusOK || a.body != "28" {
				t.Errorf("round %d, %s alone: %d %s; want 28", round, name(i), a.status, a.body)
			}
		}
	}
	hello.lap(t, "afterwards")
	hello.end()
	s.end()
}
