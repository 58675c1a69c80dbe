package reports

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/invopop/jsonschema"
)

// JSON writes the report as result.json; Schema describes it.
func JSON(w io.Writer, r Report) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// FromJSON reads what JSON wrote. A higher format is an error.
func FromJSON(src []byte) (Report, error) {
	var r Report
	if err := json.Unmarshal(src, &r); err != nil {
		return r, fmt.Errorf("read result: %w", err)
	}
	if r.Format > Format {
		return r, fmt.Errorf("read result: format %d is newer than this program's %d", r.Format, Format)
	}
	return r, nil
}

// Schema is the JSON Schema of result.json.
func Schema() ([]byte, error) {
	reflector := jsonschema.Reflector{ExpandedStruct: true, AllowAdditionalProperties: true}
	s := reflector.Reflect(&Report{})
	s.Title = "Faultline result"
	s.Description = "One judged run. Names that end in _ns are durations or times of the run in nanoseconds."
	return json.MarshalIndent(s, "", "  ")
}
