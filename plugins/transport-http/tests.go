package transporthttp

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

type testsAnswer struct {
	Status   string    `json:"status"`
	ObjectID id.Object `json:"object_id"`
	Count    int       `json:"test_count"`
	Passed   int       `json:"passed"`
	Failed   int       `json:"failed"`
	Skipped  int       `json:"skipped"`
	Results  []testRow `json:"results"`
}

type testRow struct {
	Name      string            `json:"name"`
	Status    host.TestOutcome  `json:"status"`
	Duration  float64           `json:"duration_ms"`
	Error     string            `json:"error,omitempty"`
	Code      string            `json:"code,omitempty"`
	Line      int               `json:"line,omitempty"`
	Traceback string            `json:"traceback,omitempty"`
	Reason    string            `json:"reason,omitempty"`
	Log       []json.RawMessage `json:"log"`
	Omitted   int               `json:"log_omitted,omitempty"`
}

// test answers ?test=true. Tests that fail are an answer like any other: the
// request did what it asked for.
func (x *exchange) test(ctx context.Context, object id.Object, _ args) error {
	report, err := x.host.Test(ctx, object)
	if err != nil {
		return err
	}
	answer := testsAnswer{
		Status: "ok", ObjectID: report.Object, Count: len(report.Tests), Passed: report.Count(host.TestPassed),
		Failed: report.Count(host.TestFailed), Skipped: report.Count(host.TestSkipped), Results: make([]testRow, len(report.Tests)),
	}
	for i := range report.Tests {
		if answer.Results[i], err = rowOf(&report.Tests[i]); err != nil {
			return errs.Wrap(errs.Internal, "http.test", err, "")
		}
	}
	x.sendJSON(http.StatusOK, answer)
	return nil
}

func rowOf(t *host.TestResult) (testRow, error) {
	row := testRow{
		Name: t.Name, Status: t.Outcome, Duration: float64(t.Duration.Round(time.Microsecond)) / float64(time.Millisecond),
		Code: t.Code, Line: t.Line, Traceback: t.Traceback, Log: make([]json.RawMessage, len(t.Log)), Omitted: t.Omitted,
	}
	if t.Outcome == host.TestFailed {
		row.Error = t.Reason
	} else {
		row.Reason = t.Reason
	}
	for i, e := range t.Log {
		var err error
		row.Log[i], err = entryRow([]column{
			{"timestamp", e.Time.UTC().Format(timestamp)}, {"level", string(e.Level)}, {"message", e.Message},
		}, e.Fields)
		if err != nil {
			return testRow{}, err
		}
	}
	return row, nil
}
