package d2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxImports bounds how often files are opened for one drawing, so that files which import each
// other many times over end in a mistake.
const maxImports = 256

// folder is the drawing's own folder, out of which no import leads; it keeps what was read so that
// positions can be counted in it. It is the compiler's file system.
type folder struct {
	fsys  fs.FS
	root  *os.Root // nil when fsys was given
	err   error    // why the folder cannot be read
	texts map[string]string
	opens int
}

// newFolder looks imports up in fsys, or next to the drawing when there is none.
func newFolder(file string, fsys fs.FS) *folder {
	f := &folder{fsys: fsys, texts: map[string]string{}}
	if fsys != nil {
		return f
	}
	f.root, f.err = os.OpenRoot(filepath.Dir(file))
	if f.err == nil {
		f.fsys = f.root.FS()
	}
	return f
}

// Open gives the compiler an imported file.
func (f *folder) Open(name string) (fs.File, error) {
	f.opens++
	switch {
	case f.opens > maxImports:
		return nil, fmt.Errorf("more than %d imports in one drawing", maxImports)
	case !fs.ValidPath(name):
		return nil, errors.New("it lies outside the drawing's folder, copy it in")
	case f.err != nil:
		return nil, f.err
	}
	info, err := fs.Stat(f.fsys, name)
	if err != nil {
		return nil, plain(err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxBytes {
		return nil, fmt.Errorf("it is not a plain file of at most %d bytes", maxBytes)
	}
	src, err := fs.ReadFile(f.fsys, name)
	if err != nil {
		return nil, plain(err)
	}
	if line, why := tooMuch(name, string(src)); why != "" {
		return nil, fmt.Errorf("line %d: %s", line, why)
	}
	f.texts[name] = string(src)
	return &imported{Reader: bytes.NewReader(src), info: info}, nil
}

// plain drops the path that the compiler's message already has.
func plain(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// text is an imported file's text, "" for one that was never read.
func (f *folder) text(name string) string { return f.texts[name] }

func (f *folder) close() {
	if f.root != nil {
		f.root.Close()
	}
}

// imported is one file in memory.
type imported struct {
	io.Reader
	info fs.FileInfo
}

func (i *imported) Stat() (fs.FileInfo, error) { return i.info, nil }
func (i *imported) Close() error               { return nil }
