package history

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
)

// pages reads the pages of one column of one row group, holding one of them.
type pages struct {
	pages parquet.Pages
	page  parquet.Page
}

func (p *pages) open(chunk parquet.ColumnChunk, name string, kind parquet.Kind) error {
	if got := chunk.Type().Kind(); got != kind {
		return fmt.Errorf("column %q holds %v, not %v: %w", name, got, kind, errDamaged)
	}
	p.pages = chunk.Pages()
	return nil
}

// read replaces the page by the next one that has values.
func (p *pages) read(name string) (parquet.Page, error) {
	p.release()
	for {
		page, err := p.pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("column %q ends early: %w", name, errDamaged)
		}
		if err != nil {
			return nil, fmt.Errorf("read column %q: %w", name, err)
		}
		if page.NumValues() > 0 {
			p.page = page
			return page, nil
		}
		parquet.Release(page)
	}
}

func (p *pages) release() {
	if p.page != nil {
		parquet.Release(p.page)
		p.page = nil
	}
}

func (p *pages) close() {
	p.release()
	if p.pages != nil {
		_ = p.pages.Close() // releases memory only
		p.pages = nil
	}
}

// column is a column of numbers.
type column[T int32 | int64] struct {
	pages
	name   string
	kind   parquet.Kind
	raw    func(*encoding.Values) []T
	values []T // of the present page, not given yet
	looked []T // memory for values looked up in a dictionary
}

func (c *column[T]) open(chunk parquet.ColumnChunk) error {
	c.values = nil
	return c.pages.open(chunk, c.name, c.kind)
}

func (c *column[T]) advance(n int) (int, error) {
	if c.values = c.values[n:]; len(c.values) > 0 {
		return len(c.values), nil
	}
	page, err := c.read(c.name)
	if err != nil {
		return 0, err
	}
	data := page.Data()
	dict := page.Dictionary()
	if dict == nil {
		c.values = c.raw(&data)
		return len(c.values), nil
	}
	words := dict.Page().Data()
	c.looked = lookUp(c.looked[:0], data.Int32(), c.raw(&words))
	c.values = c.looked
	return len(c.values), nil
}

func lookUp[T any](to []T, indexes []int32, words []T) []T {
	to = slices.Grow(to, len(indexes))
	for _, i := range indexes {
		to = append(to, words[i])
	}
	return to
}

// texts is a column of texts, each parsed once for a row group.
type texts[T any] struct {
	pages
	name    string
	parse   func(string) (T, error)
	dict    parquet.Dictionary
	words   []T     // by their place in the dictionary
	indexes []int32 // of the present page, not given yet
}

func (t *texts[T]) at(i int) T { return t.words[t.indexes[i]] }

func (t *texts[T]) open(chunk parquet.ColumnChunk) error {
	t.indexes, t.words, t.dict = nil, t.words[:0], nil
	return t.pages.open(chunk, t.name, parquet.ByteArray)
}

func (t *texts[T]) advance(n int) (int, error) {
	if t.indexes = t.indexes[n:]; len(t.indexes) > 0 {
		return len(t.indexes), nil
	}
	page, err := t.read(t.name)
	if err != nil {
		return 0, err
	}
	dict := page.Dictionary()
	if dict == nil {
		return 0, fmt.Errorf("column %q has no dictionary: %w", t.name, errDamaged)
	}
	if dict != t.dict {
		if err := t.parseWords(dict); err != nil {
			return 0, fmt.Errorf("read column %q: %w", t.name, err)
		}
	}
	data := page.Data()
	indexes := data.Int32()
	if slices.Min(indexes) < 0 || int(slices.Max(indexes)) >= len(t.words) {
		return 0, fmt.Errorf("column %q leaves its dictionary: %w", t.name, errDamaged)
	}
	t.indexes = indexes
	return len(indexes), nil
}

func (t *texts[T]) parseWords(dict parquet.Dictionary) error {
	data := dict.Page().Data()
	bytes, offsets := data.ByteArray()
	t.words = t.words[:0]
	for i := range dict.Len() {
		v, err := t.parse(string(bytes[offsets[i]:offsets[i+1]]))
		if err != nil {
			return err
		}
		t.words = append(t.words, v)
	}
	t.dict = dict
	return nil
}
