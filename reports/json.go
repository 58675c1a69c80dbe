package reports

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/faultline-sim/faultline/assertions"
)

// JSON writes the report as result.json; Schema describes it. Figures that are no numbers, such as
// a share of nothing, are left out.
func JSON(w io.Writer, r Report) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(complete(r)); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// complete is a report without anything that JSON cannot say: lists are there, also when they are
// empty, and figures are numbers.
func complete(r Report) Report {
	r.Verdicts = append([]assertions.Verdict{}, r.Verdicts...)
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		v.Figures = slices.DeleteFunc(slices.Clone(v.Figures), func(f assertions.Figure) bool {
			return notFinite(f.Value)
		})
	}
	r.Suspects = append([]Suspect{}, r.Suspects...)
	for i := range r.Suspects {
		if notFinite(r.Suspects[i].Score) {
			r.Suspects[i].Score = 0
		}
	}
	r.Flows = append([]Flow{}, r.Flows...)
	for i := range r.Flows {
		r.Flows[i].Sinks = append([]Sink{}, r.Flows[i].Sinks...)
	}
	r.Faults = append([]Fault{}, r.Faults...)
	r.Phases = append([]Phase{}, r.Phases...)
	r.Engines = append([]Engine{}, r.Engines...)
	return r
}

func notFinite(f float64) bool { return math.IsNaN(f) || math.IsInf(f, 0) }

// FromJSON reads what JSON wrote. A format that this program does not know is an error.
func FromJSON(src []byte) (Report, error) {
	var r Report
	if err := json.Unmarshal(src, &r); err != nil {
		return r, fmt.Errorf("read result: %w", err)
	}
	switch {
	case r.Format > Format:
		return r, fmt.Errorf("read result: format %d is newer than this program's %d", r.Format,
			Format)
	case r.Format < 1:
		return r, errors.New("read result: it has no format: not a result of faultline")
	}
	return r, nil
}
