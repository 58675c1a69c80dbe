package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/faultline-sim/faultline/"

// root is the repository, seen from this package.
const root = "../.."

// forbidden says which packages may not import which, and why. A package matches by its path or
// any folder above it.
var forbidden = []struct{ from, to, why string }{
	{"topology", "simulators", "the model and the fabric know nothing of who uses them"},
	{"topology", "scenarios", "a topology is the same in every scenario"},
	{"topology", "assertions", "what is declared does not depend on how it is judged"},
	{"topology", "reports", "rooms are entered in one direction"},
	{"topology/diag", "topology", "diagnostics serve every parser"},
	{"topology/policy", "topology/wire", "policies are plain values"},
	{"simulators", "scenarios",
		"a simulator obeys the topology as built, and knows of no scenario"},
	{"simulators", "reports", "rooms are entered in one direction"},
	{"simulators", "assertions", "a simulator records; it must not know how it is judged"},
	{"assertions", "simulators", "checkers are pure: a saved run is judged on any machine"},
	{"assertions", "scenarios", "checkers read the history and the promise, nothing of the runner"},
	{"assertions", "reports", "a verdict does not know how it is shown"},
	{"assertions", "topology/wire", "checkers open no connection"},
	{"assertions", "topology/engine", "checkers start nothing"},
	{"reports", "simulators", "reports are pure"},
	{"reports", "scenarios", "reports are pure"},
	{"reports", "topology/wire", "reports are pure"},
	{"scenarios/runner", "reports", "the runner judges nothing"},
	{"scenarios/fault", "reports", "faults judge nothing"},
}

// allowed are exceptions to forbidden, each with its reason.
var allowed = map[[2]string]string{
	{"simulators", "assertions/history"}: "the events that simulators record are defined there",
}

// only says which packages alone may import a third-party module or a part of the standard library.
var only = []struct {
	path string
	by   []string
	why  string
}{
	{"gopkg.in/yaml.v3", []string{"topology/yamlpos"}, "every value keeps its position"},
	{"oss.terrastruct.com/d2", []string{"topology/d2"}, "one reader of drawings"},
	{"github.com/Shopify/toxiproxy", []string{"topology/wire"}, "one fabric"},
	{"github.com/testcontainers/testcontainers-go", []string{"topology/engine"},
		"one way to containers"},
	{"github.com/mochi-mqtt", []string{"topology/engine"}, "engines are behind one interface"},
	{"github.com/twmb/franz-go/pkg/kfake", []string{"topology/engine/embedded"},
		"engines are behind one interface"},
	{"github.com/alicebob/miniredis", []string{"topology/engine/embedded"},
		"engines are behind one interface"},
	{"github.com/johannesboyne/gofakes3", []string{"topology/engine/embedded"},
		"engines are behind one interface"},
	{"github.com/jeroenrinzema/psql-wire", []string{"topology/engine/embedded"},
		"engines are behind one interface"},
	{"modernc.org/sqlite", []string{"topology/engine/embedded"},
		"engines are behind one interface"},
	{"github.com/eclipse/paho.mqtt.golang", []string{"simulators/conn/mqtt", "scenarios/bench"},
		"one client path"},
	{"github.com/segmentio/kafka-go",
		[]string{"simulators/conn/kafka", "scenarios/bench", "topology/examples"},
		"one client path"},
	{"github.com/nats-io/nats.go", []string{"simulators/conn/nats"}, "one client path"},
	{"github.com/nats-io/nats-server", []string{"topology/engine/embedded"},
		"engines are behind one interface"},
	{"github.com/rabbitmq/amqp091-go", []string{"simulators/conn/amqp"}, "one client path"},
	{"cloud.google.com/go/pubsub",
		[]string{"simulators/conn/pubsub", "topology/engine/embedded/pubsub"},
		"one client path, and an engine of the same contract"},
	{"google.golang.org/grpc",
		[]string{"simulators/conn/pubsub", "topology/engine/embedded/pubsub"}, "Pub/Sub alone is gRPC"},
	{"github.com/aws/aws-sdk-go-v2",
		[]string{"simulators/conn/aws", "simulators/conn/kinesis", "simulators/conn/s3",
			"simulators/conn/sns", "simulators/conn/sqs", "scenarios/bench"},
		"one client path"},
	{"github.com/redis/go-redis", []string{"simulators/conn/redis", "scenarios/bench"},
		"one client path"},
	{"github.com/jackc/pgx", []string{"simulators/conn/postgres", "scenarios/bench"},
		"one client path"},
	{"github.com/parquet-go/parquet-go", []string{"assertions/history"}, "one codec"},
	{"github.com/spf13/cobra", []string{"cmd"}, "one command line"},
}

// pure packages read no clock, no network and no randomness.
var pure = []string{
	"topology/claims", "topology/diag", "topology/policy", "topology/yamlpos", "assertions",
	"reports",
}

// clock are the functions of package time that a pure package may not call.
var clock = []string{"Now", "Since", "Sleep", "After", "NewTimer", "NewTicker"}

// impure are the imports that a pure package may not have.
var impure = []string{"net", "net/http", "math/rand", "math/rand/v2", "crypto/rand", "os/exec"}

// mayDial are the packages that may open connections and listeners.
var mayDial = []string{"topology/wire"}

const (
	longestFile     = 500
	longestFunction = 80
)

// source is one Go file that is no test.
type source struct {
	path string // slashes, from the repository's root
	dir  string
	file *ast.File
	set  *token.FileSet
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{"testdata", "bin", ".git", "runs"}, d.Name()) {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		relative = filepath.ToSlash(relative)
		all = append(all, source{relative, filepath.ToSlash(filepath.Dir(relative)), file, set})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("only %d files found: the walk went wrong", len(all))
	}
	return all
}

// in says that a package is, or is below, a folder.
func in(pkg, folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

func inAny(pkg string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return in(pkg, f) })
}

func imports(s source) (paths []string) {
	for _, i := range s.file.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		paths = append(paths, path)
	}
	return paths
}

func TestArrowsRunOneWay(t *testing.T) {
	for _, s := range sources(t) {
		for _, path := range imports(s) {
			to, ours := strings.CutPrefix(path, module)
			if !ours {
				continue
			}
			for _, rule := range forbidden {
				if in(s.dir, rule.from) && in(to, rule.to) &&
					!in(rule.from, rule.to) && !excepted(s.dir, to) {
					if in(s.dir, rule.to) {
						continue // inside the room itself
					}
					t.Errorf("%s imports %s: %s", s.path, to, rule.why)
				}
			}
		}
	}
}

func excepted(from, to string) bool {
	for pair := range allowed {
		if in(from, pair[0]) && in(to, pair[1]) {
			return true
		}
	}
	return false
}

func TestThirdPartyPackagesHaveOneImporter(t *testing.T) {
	for _, s := range sources(t) {
		for _, path := range imports(s) {
			for _, rule := range only {
				within := path == rule.path || strings.HasPrefix(path, rule.path+"/")
				if within && !inAny(s.dir, rule.by) {
					t.Errorf("%s imports %s, only %s may: %s", s.path, path,
						strings.Join(rule.by, ", "), rule.why)
				}
			}
		}
	}
}

func TestPurePackagesReadNoClockAndNoNetwork(t *testing.T) {
	exempt := []string{"reports/rundir"} // the folder of a run is files
	for _, s := range sources(t) {
		if !inAny(s.dir, pure) || inAny(s.dir, exempt) {
			continue
		}
		for _, path := range imports(s) {
			if slices.Contains(impure, path) {
				t.Errorf("%s imports %s, but is pure", s.path, path)
			}
		}
		for _, call := range calls(s, "time") {
			if slices.Contains(clock, call) {
				t.Errorf("%s reads the clock (time.%s), but is pure", s.path, call)
			}
		}
	}
}

func TestOnlyTheFabricDialsAndListens(t *testing.T) {
	for _, s := range sources(t) {
		if inAny(s.dir, mayDial) {
			continue
		}
		for _, call := range calls(s, "net") {
			opens := strings.HasPrefix(call, "Dial") || strings.HasPrefix(call, "Listen")
			if opens && call != "Listener" {
				t.Errorf("%s calls net.%s: only topology/wire opens connections, so that every "+
					"wire is a fault point",
					s.path, call)
			}
		}
	}
}

// calls are the functions of a package that a file calls.
func calls(s source, pkg string) (names []string) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == pkg && x.Obj == nil {
				names = append(names, sel.Sel.Name)
			}
		}
		return true
	})
	return names
}

func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		text := s.file.Doc.Text()
		documented[s.dir] = documented[s.dir] || len(text) > 80
	}
	for _, dir := range slices.Sorted(maps.Keys(documented)) {
		if !documented[dir] {
			t.Errorf("package %s has no comment that says what it is for", dir)
		}
	}
}

func TestFilesAndFunctionsStaySmall(t *testing.T) {
	for _, s := range sources(t) {
		if lines := s.set.Position(s.file.End()).Line; lines > longestFile {
			t.Errorf("%s has %d lines, at most %d: split it by what it tells", s.path, lines,
				longestFile)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			lines := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1
			if lines > longestFunction {
				t.Errorf("%s: %s has %d lines, at most %d", s.path, f.Name.Name, lines,
					longestFunction)
			}
		}
	}
}

func TestNamesSayWhatIsInside(t *testing.T) {
	vague := []string{"util", "utils", "helper", "helpers", "common", "manager", "base", "misc"}
	for _, s := range sources(t) {
		name := strings.TrimSuffix(filepath.Base(s.path), ".go")
		if slices.Contains(vague, name) || slices.Contains(vague, filepath.Base(s.dir)) {
			t.Errorf("%s: a name that says nothing about what is inside", s.path)
		}
	}
}

func TestTheTopLevelIsFixed(t *testing.T) {
	agreed := []string{
		"topology", "simulators", "scenarios", "assertions", "reports", "cmd", "go.mod", "go.sum",
		"Makefile", "README.md", "LICENSE", ".ci", ".gitignore", ".git", "bin", "runs",
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(agreed, e.Name()) {
			t.Errorf("%s stands at the top level beyond the agreed names", e.Name())
		}
	}
}

func TestOneRunIsOneShortFunction(t *testing.T) {
	for _, s := range sources(t) {
		if s.path != "cmd/faultline/run.go" {
			continue
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Name.Name != "runScenario" {
				continue
			}
			lines := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1
			if lines > 40 {
				t.Errorf("runScenario has %d lines, at most 40: it is the story of a run", lines)
			}
			return
		}
	}
	t.Error("cmd/faultline/run.go has no function runScenario")
}
