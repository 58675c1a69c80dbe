package reports

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/faultline-sim/faultline/assertions"
)

// The elements of JUnit's XML as CI servers read it.
type (
	suites struct {
		XMLName xml.Name `xml:"testsuites"`
		Suites  []suite  `xml:"testsuite"`
	}
	suite struct {
		Name     string  `xml:"name,attr"`
		Tests    int     `xml:"tests,attr"`
		Failures int     `xml:"failures,attr"`
		Errors   int     `xml:"errors,attr"`
		Skipped  int     `xml:"skipped,attr"`
		Time     float64 `xml:"time,attr"`
		Cases    []tcase `xml:"testcase"`
	}
	tcase struct {
		Class   string   `xml:"classname,attr"`
		Name    string   `xml:"name,attr"`
		Failure *problem `xml:"failure,omitempty"`
		Error   *problem `xml:"error,omitempty"`
		Skipped *skip    `xml:"skipped,omitempty"`
		Out     string   `xml:"system-out,omitempty"`
	}
	skip struct {
		Message string `xml:"message,attr"`
	}
	problem struct {
		Type    string `xml:"type,attr"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes the reports as JUnit XML: a suite a run, a case a verdict. An invalid verdict is a
// failure; an unknown one is an error, since a check that could not be made is not a passed one; an
// untested one is skipped.
func JUnit(w io.Writer, all ...Report) error {
	var doc suites
	for _, r := range all {
		names := namesOf(r)
		s := suite{Name: Plain(r.Scenario), Tests: len(r.Verdicts), Time: r.Took.Seconds()}
		counts := CountsOf(r.Verdicts)
		s.Failures, s.Errors, s.Skipped = counts.Invalid, counts.Unknown, counts.Untested
		for _, v := range r.Verdicts {
			s.Cases = append(s.Cases, junitCase(r, v, names))
		}
		doc.Suites = append(doc.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("write junit: %w", err)
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return fmt.Errorf("write junit: %w", err)
	}
	if _, err := io.WriteString(w, "\n"); err != nil {
		return fmt.Errorf("write junit: %w", err)
	}
	return nil
}

func junitCase(r Report, v assertions.Verdict, names Names) tcase {
	said := Plain(names.In(v.Summary))
	c := tcase{Class: Plain(r.Topology + "." + r.Scenario), Name: Plain(names.In(v.Name))}
	switch v.Value {
	case assertions.Valid:
		c.Out = said
	case assertions.Invalid:
		c.Failure = &problem{Type: Plain(v.Property), Message: said, Text: anomalyLines(v, names)}
	case assertions.Untested:
		c.Out, c.Skipped = said, &skip{Message: "untested, it takes " + Plain(names.In(v.Untested))}
	default:
		c.Error = &problem{Type: "unknown", Message: said, Text: unknownLines(v, names)}
	}
	return c
}

// unknownLines says what would make an unknown verdict known, then what was seen all the same.
func unknownLines(v assertions.Verdict, names Names) string {
	if len(v.Anomalies) == 0 {
		return Plain(names.In(v.Unknown))
	}
	return Plain(names.In(v.Unknown)) + "\n" + anomalyLines(v, names)
}

func anomalyLines(v assertions.Verdict, names Names) string {
	var b strings.Builder
	for _, a := range v.Anomalies {
		fmt.Fprintln(&b, Plain(names.In(a.Kind+" "+a.Subject()+": "+a.Text)))
		for _, e := range a.Events {
			fmt.Fprintf(&b, "  %s\n", names.In(EventLine(e)))
		}
	}
	if v.More > 0 {
		fmt.Fprintf(&b, "and %d more\n", v.More)
	}
	return b.String()
}
