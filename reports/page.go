package reports

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/faultline-sim/faultline/assertions"
)

// defaultWidth is how many columns a page has where nobody says.
const defaultWidth = 110

// narrow is the width below which tables leave out what a reader can do without.
const narrow = 100

// leastColumn is how narrow a column of sentences may become; a page narrower than that overflows.
const leastColumn = 24

// page writes until the first error and keeps it.
type page struct {
	w     io.Writer
	opt   TextOptions
	names Names
	err   error
}

func newPage(w io.Writer, opt TextOptions, names Names) *page {
	if opt.Width == 0 {
		opt.Width = defaultWidth
	}
	return &page{w: w, opt: opt, names: names}
}

func (p *page) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// plain is a text of a run, safe to show, with short names.
func (p *page) plain(s string) string { return Plain(p.names.In(s)) }

// Colors of a terminal.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	bold   = "1"
	faint  = "2"
)

func (p *page) paint(s, color string) string {
	if !p.opt.Color || s == "" {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

func (p *page) value(v assertions.Value) string {
	color := yellow
	switch v {
	case assertions.Valid:
		color = green
	case assertions.Invalid:
		color = red
	}
	return p.paint(Plain(string(v)), color)
}

// wrapped prints a head and behind it a text, the text's further lines deeper by hang.
func (p *page) wrapped(indent int, head string, hang int, s string) {
	room := max(leastColumn, p.opt.Width-indent-hang)
	for i, line := range strings.Split(text.WrapSoft(s, room), "\n") {
		if i == 0 {
			p.printf("%*s%s%s\n", indent, "", head, strings.TrimRight(line, " "))
			continue
		}
		p.printf("%*s%s\n", indent+hang, "", strings.Trim(line, " "))
	}
}

// sheet is a table in the house's plain style. Columns of figures stand to the right; the last
// column, when it holds sentences, takes the room that the others leave, of which none has more
// than two fifths.
type sheet struct {
	header  []string
	rows    [][]string
	figures []int // columns, from 0
	prose   bool  // the last column holds sentences
}

func (s *sheet) add(cells ...string) { s.rows = append(s.rows, cells) }

// without takes columns away.
func (s *sheet) without(headers ...string) {
	for _, h := range headers {
		i := slices.Index(s.header, h)
		s.header = slices.Delete(s.header, i, i+1)
		for r := range s.rows {
			s.rows[r] = slices.Delete(s.rows[r], i, i+1)
		}
		s.figures = slices.DeleteFunc(s.figures, func(f int) bool { return f == i })
		for f := range s.figures {
			if s.figures[f] > i {
				s.figures[f]--
			}
		}
	}
}

func (p *page) put(s sheet) {
	if len(s.rows) == 0 {
		return
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleDefault)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.Style().Format.Header = text.FormatDefault
	t.Style().Box.PaddingLeft, t.Style().Box.PaddingRight = "", "  "
	t.SetColumnConfigs(s.columns(p.opt.Width - 2))
	head := table.Row{}
	for _, h := range s.header {
		head = append(head, p.paint(h, faint))
	}
	t.AppendHeader(head)
	for _, row := range s.rows {
		cells := table.Row{}
		for _, c := range row {
			cells = append(cells, c)
		}
		t.AppendRow(cells)
	}
	for line := range strings.SplitSeq(t.Render(), "\n") {
		p.printf("  %s\n", strings.TrimRight(line, " "))
	}
	p.printf("\n")
}

// columns lays a sheet out in so many columns of a terminal.
func (s *sheet) columns(width int) (all []table.ColumnConfig) {
	last, most := len(s.header)-1, max(leastColumn, width*2/5)
	for i := range s.header {
		c := table.ColumnConfig{
			Number: i + 1, Align: text.AlignLeft, AlignHeader: text.AlignLeft,
			WidthMax: most, WidthMaxEnforcer: text.WrapSoft,
		}
		if slices.Contains(s.figures, i) {
			c.Align, c.AlignHeader = text.AlignRight, text.AlignRight
		}
		if i == last && s.prose {
			c.WidthMax = max(leastColumn, width)
		}
		width -= min(s.width(i), most) + 2
		all = append(all, c)
	}
	return all
}

func (s *sheet) width(column int) int {
	widest := text.StringWidthWithoutEscSequences(s.header[column])
	for _, row := range s.rows {
		widest = max(widest, text.StringWidthWithoutEscSequences(row[column]))
	}
	return widest
}
