package engine

// Problem is why an engine cannot do what was asked of it, and what to do about it: a failure of the
// environment, not of what runs in it.
type Problem struct {
	Err error
	Do  string // what to do, to be read after the error
}

// NewProblem is an error with what to do about it.
func NewProblem(err error, do string) *Problem { return &Problem{err, do} }

// Error says what is wrong.
func (p *Problem) Error() string { return p.Err.Error() }

// Unwrap is the error behind it.
func (p *Problem) Unwrap() error { return p.Err }

// Hint says what to do.
func (p *Problem) Hint() string { return p.Do }
