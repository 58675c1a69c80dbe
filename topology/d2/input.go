package d2

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"oss.terrastruct.com/d2/d2ast"
	"oss.terrastruct.com/d2/d2compiler"
	"oss.terrastruct.com/d2/d2graph"
	"oss.terrastruct.com/d2/d2parser"

	"github.com/faultline-sim/faultline/topology/diag"
)

// input is a drawing's text on its way into the compiler, and the way back from the compiler's
// positions to the user's file.
type input struct {
	file    string
	name    string // what the compiler calls the file
	text    string // same lines as the file; a Markdown file's other lines are empty
	indent  []int  // characters cut from the front of each line, Markdown only
	imports *folder
	diags   *diag.List
}

// open checks a file's text and finds the D2 in it.
func open(file string, src []byte, opt Options, diags *diag.List) (*input, bool) {
	at := diag.Position{File: file, Line: 1, Column: 1}
	src = bytes.TrimPrefix(src, []byte("\ufeff"))
	switch {
	case len(src) > maxBytes:
		diags.Add(at, "too-large", "file has %d bytes, at most %d are read", len(src), maxBytes)
		return nil, false
	case !utf8.Valid(src):
		diags.Add(at, "encoding", "file is not UTF-8 text")
		return nil, false
	}
	in := &input{file: file, name: filepath.Base(file), text: string(src), diags: diags}
	switch strings.ToLower(filepath.Ext(file)) {
	case ".md", ".markdown":
		if !in.unfence(src, opt.Block) {
			return nil, false
		}
	}
	if line, why := tooMuch(in.name, in.text); why != "" {
		at.Line = line
		diags.Add(at, "too-large", "%s", why)
		return nil, false
	}
	in.imports = newFolder(file, opt.FS)
	return in, true
}

// compile runs the D2 compiler; its complaints become diagnostics, and so does a panic of it.
func (in *input) compile() (graph *d2graph.Graph) {
	defer in.imports.close()
	defer func() {
		if p := recover(); p != nil {
			graph = nil
			in.refuse(diag.Position{File: in.file, Line: 1, Column: 1}, "syntax",
				"the d2 compiler gave up on this drawing: %v", p)
		}
	}()
	graph, _, err := d2compiler.Compile(in.name, strings.NewReader(in.text),
		&d2compiler.CompileOptions{FS: in.imports})
	if err != nil {
		in.complain(err)
		return nil
	}
	return graph
}

// maxMessage is how many characters of the compiler's message are told: some repeat the input.
const maxMessage = 300

// complain turns the compiler's error into diagnostics.
func (in *input) complain(err error) {
	var parse *d2parser.ParseError
	if !errors.As(err, &parse) {
		in.refuse(diag.Position{File: in.file, Line: 1, Column: 1}, "syntax", "%v", err)
		return
	}
	for _, e := range parse.Errors {
		text := strings.TrimPrefix(e.Message, fmt.Sprintf("%v: ", e.Range))
		kind := "syntax"
		if rest, ok := strings.CutPrefix(text, "failed to import "); ok {
			kind, text = "import", "import "+rest
		}
		if runes := []rune(text); len(runes) > maxMessage {
			text = string(runes[:maxMessage]) + "…"
		}
		in.refuse(in.position(e.Range), kind, "%s", text)
	}
}

// refuse adds a mistake.
func (in *input) refuse(at diag.Position, kind, format string, args ...any) {
	in.diags.Add(at, kind, format, args...)
}

// position finds a place of the compiler's in the user's file. The compiler counts lines and bytes
// from 0; a place outside the text is moved to its nearest end.
func (in *input) position(r d2ast.Range) diag.Position {
	at := diag.Position{File: in.file}
	text, indent := in.text, in.indent
	if r.Path != "" && r.Path != in.name {
		at.File = filepath.Join(filepath.Dir(in.file), filepath.FromSlash(r.Path))
		text, indent = in.imports.text(r.Path), nil
	}
	lines := strings.Split(text, "\n")
	line := min(max(r.Start.Line, 0), len(lines)-1)
	bytes := min(max(r.Start.Column, 0), len(lines[line]))
	at.Line = line + 1
	at.Column = utf8.RuneCountInString(lines[line][:bytes]) + 1
	if line < len(indent) {
		at.Column += indent[line]
	}
	return at
}
