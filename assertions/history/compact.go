package history

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Compact makes one file of a run's segments and removes them. A kill at any moment leaves a
// history that can be read, and Compact can be called again. Without segments it does nothing.
func Compact(dir string) error {
	r, err := Open(dir)
	if err != nil {
		return err
	}
	target := filepath.Join(dir, compactedName)
	if len(r.segments) != 1 || r.segments[0].path != target {
		if err := rewrite(r, target); err != nil {
			return fmt.Errorf("compact history %q: %w", dir, err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, segmentsName)); err != nil {
		return fmt.Errorf("compact history %q: %w", dir, err)
	}
	return nil
}

func rewrite(r *Reader, target string) error {
	w, err := createSmall(target)
	if err != nil {
		return err
	}
	defer w.Abort()
	for e := range r.Events {
		if err := w.Write(e); err != nil {
			return err
		}
	}
	if err := errors.Join(r.Err(), w.err); err != nil {
		return err
	}
	return w.Seal()
}
