package topology

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
)

// MessageEnv is what an expression about a message may name: the condition of a when step or a
// derived flow, and the subject and key of a message that is born of another.
type MessageEnv struct {
	Data    map[string]any `expr:"data"` // the body, as JSON decodes it
	Flow    string         `expr:"flow"`
	Subject string         `expr:"subject"`
	Key     string         `expr:"key"`
	// Member is the one member of a fleet that a text belongs to, see Topology.MemberFor.
	Member func(fleet, text string) string `expr:"member"`
}

// SendEnv is what an expression in the body or subject of a send may name. The functions draw
// from the member's own generator, so that a seed fixes every body.
type SendEnv struct {
	ID      string                             `expr:"id"`      // the member's own id
	Seq     int                                `expr:"seq"`     // messages of the flow that the member has begun, from 0
	Subject string                             `expr:"subject"` // "" while the subject itself is drawn
	Now     string                             `expr:"now"`     // intended send time, RFC 3339
	Member  func(fleet string) string          `expr:"member"`  // the id of any member of a fleet
	Pick    func(list []any) any               `expr:"pick"`    // any element of a list
	Choice  func(values ...any) any            `expr:"choice"`  // any of its arguments
	Normal  func(mean, spread float64) float64 `expr:"normal"`  // normally distributed
	Uniform func(least, most float64) float64  `expr:"uniform"` // equally distributed
}

// Expression is compiled text; it keeps no state and is safe for concurrent use.
type Expression struct {
	text    string
	program *vm.Program
}

// CompileCondition compiles a yes-or-no expression over a MessageEnv.
func CompileCondition(text string) (*Expression, error) {
	return compile(text, expr.Env(MessageEnv{}), expr.AsBool())
}

// CompileText compiles an expression over a MessageEnv whose value is used as text.
func CompileText(text string) (*Expression, error) {
	return compile(text, expr.Env(MessageEnv{}))
}

// CompileSend compiles an expression over a SendEnv.
func CompileSend(text string) (*Expression, error) {
	return compile(text, expr.Env(SendEnv{}))
}

func compile(text string, options ...expr.Option) (*Expression, error) {
	program, err := expr.Compile(text, options...)
	if err != nil {
		return nil, fmt.Errorf("compile expression %q: %w", text, err)
	}
	return &Expression{text: text, program: program}, nil
}

// Holds is a condition's answer.
func (x *Expression) Holds(env MessageEnv) (bool, error) {
	v, err := x.run(env)
	if err != nil {
		return false, err
	}
	holds, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("evaluate expression %q: answer %v is neither true nor false", x.text, v)
	}
	return holds, nil
}

// Text is an expression's value as text; nothing at all is "".
func (x *Expression) Text(env MessageEnv) (string, error) {
	v, err := x.run(env)
	if err != nil || v == nil {
		return "", err
	}
	return fmt.Sprint(v), nil
}

// Draw is a send expression's value, as it goes into the body.
func (x *Expression) Draw(env SendEnv) (any, error) { return x.run(env) }

func (x *Expression) run(env any) (any, error) {
	v, err := expr.Run(x.program, env)
	if err != nil {
		return nil, fmt.Errorf("evaluate expression %q: %w", x.text, err)
	}
	return v, nil
}

// MemberID is the id of one member of a fleet, numbered from 0: the fleet's last name and the
// number. It stands for ":id" in channels and paths, so characters that have a meaning there are
// dashes.
func MemberID(fleet string, member int) string {
	segments := SplitName(fleet)
	return unsafeInID.Replace(segments[len(segments)-1]) + "-" + strconv.Itoa(member)
}

var unsafeInID = strings.NewReplacer("/", "-", "+", "-", "#", "-", ":", "-", "?", "-", " ", "-")
