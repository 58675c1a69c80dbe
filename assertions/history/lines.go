package history

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/parquet-go/parquet-go"
)

// Lines writes all events as JSON, one a line, in time order: the names of the Parquet columns,
// but only what is set.
func Lines(w io.Writer, r *Reader) error {
	out := bufio.NewWriter(w)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	names := traces{}
	var line row
	for e := range r.Events {
		line.fill(e, names.text(e.Trace))
		if err := encoder.Encode(&line); err != nil {
			return fmt.Errorf("print history: %w", err)
		}
	}
	return errors.Join(r.Err(), out.Flush())
}

// CSV writes all events as comma-separated values with a header, in time order: every Parquet
// column, empty where it is not set.
func CSV(w io.Writer, r *Reader) error {
	out := csv.NewWriter(w)
	var header []string
	for _, path := range parquet.SchemaOf(row{}).Columns() {
		header = append(header, path[0])
	}
	if err := out.Write(header); err != nil {
		return fmt.Errorf("print history: %w", err)
	}
	names := traces{}
	var line row
	for e := range r.Events {
		line.fill(e, names.text(e.Trace))
		if err := out.Write(line.cells()); err != nil {
			return fmt.Errorf("print history: %w", err)
		}
	}
	out.Flush()
	return errors.Join(r.Err(), out.Error())
}

// cells are the row's values in the order of the columns.
func (r *row) cells() []string {
	return []string{
		strconv.FormatInt(r.AtNS, 10), r.Kind, r.Outcome,
		r.Node, cell(r.Replica), r.Handler, r.Step,
		r.Flow, r.Message.cell(), r.Trace,
		r.ParentFlow, r.Parent.cell(), r.Key, r.KeySeq.cell(),
		r.Wire, r.Channel, cell(r.Partition), cell(r.Offset),
		cell(r.Delivery), cell(r.Attempt), r.Reason, cell(r.DurationNS), cell(r.Value),
	}
}

func cell[T int32 | int64](n T) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(int64(n), 10)
}

func (o ordinal) cell() string {
	if o.IsZero() {
		return ""
	}
	return strconv.FormatInt(int64(o), 10)
}
