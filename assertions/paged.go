package assertions

// page is how many messages one page of a column holds.
const page = 1024

// column is a dense array indexed by message number that grows by whole pages, so that it never
// holds much more than what is in it. The zero value is empty.
type column[T any] struct{ pages []*[page]T }

// at is the cell of one number, made when it is first asked for.
func (c *column[T]) at(i int64) *T {
	p := int(i / page)
	for p >= len(c.pages) {
		c.pages = append(c.pages, nil)
	}
	if c.pages[p] == nil {
		c.pages[p] = new([page]T)
	}
	return &c.pages[p][i%page]
}

// get is the cell of one number, the zero value where nothing was put.
func (c *column[T]) get(i int64) (v T) {
	p := int(i / page)
	if i < 0 || p >= len(c.pages) || c.pages[p] == nil {
		return v
	}
	return c.pages[p][i%page]
}
