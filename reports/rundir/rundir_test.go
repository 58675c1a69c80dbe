package rundir_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/reports/rundir"
)

// create makes runs of scenarios, a second apart, in a bubble where that takes no time. What alive
// says is not closed.
func create(t *testing.T, parent string, alive func(string) bool, names ...string) (paths []string) {
	t.Helper()
	for _, name := range names {
		d, err := rundir.Create(parent, name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		if err := os.Mkdir(d.History(), 0o700); err != nil {
			t.Fatal(err)
		}
		if !alive(name) {
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		}
		paths = append(paths, d.Path())
		time.Sleep(time.Second)
	}
	return paths
}

func none(string) bool { return false }

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func TestCreate(t *testing.T) {
	for name, test := range map[string]struct{ scenario, want string }{
		"name/plain/kept":                 {"partner-outage", "partner-outage"},
		"name/a path/one folder":          {"../../etc/passwd", "..-..-etc-passwd"},
		"name/korean and dots/kept":       {"장애.v2", "장애.v2"},
		"name/empty/run":                  {"", "run"},
		"name/control characters/hyphens": {"a\x00b\nc", "a-b-c"},
		"name/very long/shortened":        {strings.Repeat("장", 80), strings.Repeat("장", 33)},
	} {
		t.Run(name, func(t *testing.T) {
			parent := filepath.Join(t.TempDir(), "runs")
			d, err := rundir.Create(parent, test.scenario)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			whole := `^\d{8}T\d{6}\.\d{3}Z-` + regexp.QuoteMeta(test.want) + `-[0-9a-f]{6}$`
			if !regexp.MustCompile(whole).MatchString(d.Name()) {
				t.Fatalf("folder is %q, want %q in it", d.Name(), test.want)
			}
			if d.Path() != filepath.Join(parent, d.Name()) {
				t.Fatalf("path is %q", d.Path())
			}
		})
	}
	t.Run("private/every folder and file/owner only", func(t *testing.T) {
		parent := filepath.Join(t.TempDir(), "runs")
		d, err := rundir.Create(parent, "a")
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if err := d.Write(rundir.PlanFile, text("{}")); err != nil {
			t.Fatal(err)
		}
		modes := map[string]fs.FileMode{}
		for _, path := range []string{parent, d.Path(), filepath.Join(d.Path(), rundir.PlanFile),
			filepath.Join(d.Path(), "lock")} {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			modes[filepath.Base(path)] = info.Mode()
		}
		want := map[string]fs.FileMode{"runs": fs.ModeDir | 0o700, d.Name(): fs.ModeDir | 0o700,
			"plan.json": 0o600, "lock": 0o600}
		if diff := cmp.Diff(want, modes); diff != "" {
			t.Fatalf("modes (-want +got):\n%s", diff)
		}
	})
	t.Run("parent/a file/told", func(t *testing.T) {
		parent := filepath.Join(t.TempDir(), "runs")
		if err := os.WriteFile(parent, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := rundir.Create(parent, "a"); err == nil {
			t.Fatal("a run was made in a file")
		}
	})
}

func TestWrite(t *testing.T) {
	d, err := rundir.Create(t.TempDir(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	t.Run("write/twice/the second", func(t *testing.T) {
		for _, s := range []string{"a longer first", "second"} {
			if err := d.Write(rundir.ResultFile, text(s)); err != nil {
				t.Fatal(err)
			}
		}
		want(t, d, rundir.ResultFile, "second")
	})
	t.Run("write/fails halfway/as it was", func(t *testing.T) {
		broken := errors.New("broken")
		err := d.Write(rundir.ResultFile, func(w io.Writer) error {
			return errors.Join(text("half")(w), broken)
		})
		if !errors.Is(err, broken) {
			t.Fatalf("error is %v", err)
		}
		want(t, d, rundir.ResultFile, "second")
		_, err = os.Stat(filepath.Join(d.Path(), "result.json.tmp"))
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("left behind: %v", err)
		}
	})
	t.Run("append/twice/both", func(t *testing.T) {
		for range 2 {
			f, err := d.Append(rundir.LogFile)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(text("line\n")(f), f.Close()); err != nil {
				t.Fatal(err)
			}
		}
		want(t, d, rundir.LogFile, "line\nline\n")
	})
	t.Run("copy/a file of the user's/same content", func(t *testing.T) {
		from := filepath.Join(t.TempDir(), "mine.yaml")
		if err := os.WriteFile(from, []byte("topology: x\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := d.Copy(rundir.TopologyFile, from); err != nil {
			t.Fatal(err)
		}
		want(t, d, rundir.TopologyFile, "topology: x\n")
	})
	t.Run("copy/no such file/not exist", func(t *testing.T) {
		if err := d.Copy(rundir.DrawingFile, "/nowhere.d2"); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("error is %v", err)
		}
	})
}

func TestWriteRefuses(t *testing.T) {
	d, err := rundir.Create(t.TempDir(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	t.Run("links/lead out of the folder/refused", func(t *testing.T) {
		outside := filepath.Join(t.TempDir(), "outside")
		inside := filepath.Join(d.Path(), rundir.SummaryFile+".tmp")
		if err := os.Symlink(outside, inside); err != nil {
			t.Fatal(err)
		}
		if err := d.Write(rundir.SummaryFile, text("x")); err == nil {
			t.Fatal("a link was followed")
		}
		if err := d.Write("../x", text("x")); err == nil {
			t.Fatal("a path was followed")
		}
		if _, err := os.Stat(outside); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("outside was written: %v", err)
		}
	})
	t.Run("disk full/writing/told with file and run", func(t *testing.T) {
		err := d.Write(rundir.JUnitFile, func(io.Writer) error {
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer full.Close()
			return text("x")(full)
		})
		want := fmt.Sprintf("write %q of run %q: write /dev/full: no space left on device",
			rundir.JUnitFile, d.Name())
		if err == nil || err.Error() != want {
			t.Fatalf("error is %v, want %s", err, want)
		}
	})
}

func want(t *testing.T, d *rundir.Dir, name, content string) {
	t.Helper()
	f, err := d.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(content, string(got)); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", name, diff)
	}
}

func TestListAndResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent := t.TempDir()
		paths := create(t, parent, func(name string) bool { return name == "b" }, "a", "b", "c")
		for _, other := range []string{"notes", "20260102T030405.678Z-file-abcdef"} {
			if err := os.WriteFile(filepath.Join(parent, other), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		link := filepath.Join(parent, "20260102T030405.678Z-link-abcdef")
		if err := os.Symlink(paths[0], link); err != nil {
			t.Fatal(err)
		}
		runs, err := rundir.List(parent)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range runs {
			got = append(got, fmt.Sprint(r.Path, " ", r.Scenario, " ", r.Alive,
				" ", r.Started.Format(time.RFC3339)))
		}
		wantRuns := []string{paths[0] + " a false 2000-01-01T00:00:00Z",
			paths[1] + " b true 2000-01-01T00:00:01Z", paths[2] + " c false 2000-01-01T00:00:02Z"}
		if diff := cmp.Diff(wantRuns, got); diff != "" {
			t.Fatalf("runs (-want +got):\n%s", diff)
		}
		checkResolve(t, parent, paths, runs[0].ID)
	})
}

func checkResolve(t *testing.T, parent string, paths []string, id string) {
	t.Helper()
	name := func(i int) string { return filepath.Base(paths[i]) }
	for situation, test := range map[string]struct{ arg, want, error string }{
		"latest":        {"latest", paths[2], ""},
		"whole name":    {name(0), paths[0], ""},
		"unique prefix": {name(1)[:len("20000101T000001")], paths[1], ""},
		"id":            {id, paths[0], ""},
		"path":          {paths[1] + "/", paths[1], ""},
		"several": {"20000101", "", fmt.Sprintf("find run %q: several fit: %q, %q, %q", "20000101",
			name(0), name(1), name(2))},
		"none": {"1999", "", fmt.Sprintf("find run %q: not in %q, where the latest is %q: "+
			"file does not exist", "1999", parent, name(2))},
		"a folder without a history": {parent, "", fmt.Sprintf("find run %q: it has no history "+
			"folder: file does not exist", parent)},
		"no such path": {"/no/where", "", "find run: stat /no/where: no such file or directory"},
	} {
		got, err := rundir.Resolve(parent, test.arg)
		message := ""
		if err != nil {
			message = err.Error()
		}
		if got != test.want || message != test.error {
			t.Errorf("resolve/%s: got %q and error %q, want %q and %q", situation, got, message,
				test.want, test.error)
		}
	}
}

func TestNoRuns(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "runs")
	runs, err := rundir.List(parent)
	if runs != nil || err != nil {
		t.Fatalf("list/no folder/none: got %v, %v", runs, err)
	}
	if _, err := rundir.Resolve(parent, rundir.Latest); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("resolve/no folder/not exist: got %v", err)
	}
	if removed, err := rundir.Clean(parent, 0); removed != nil || err != nil {
		t.Fatalf("clean/no folder/nothing: got %v, %v", removed, err)
	}
}

func TestClean(t *testing.T) {
	living := func(name string) bool { return name == "b" }
	for name, test := range map[string]struct {
		alive func(string) bool
		keep  int
		left  string
	}{
		"clean/keep two/the newest":         {none, 2, "c d"},
		"clean/keep none/living ones stay":  {living, 0, "b"},
		"clean/keep more than are/all stay": {none, 9, "a b c d"},
		"clean/keep fewer than none/as 0":   {none, -1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				parent := t.TempDir()
				outside := filepath.Join(t.TempDir(), "mine")
				paths := create(t, parent, test.alive, "a", "b", "c", "d")
				if err := os.WriteFile(outside, []byte("mine"), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(outside, filepath.Join(paths[0], "link")); err != nil {
					t.Fatal(err)
				}
				removed, err := rundir.Clean(parent, test.keep)
				if err != nil {
					t.Fatal(err)
				}
				runs, err := rundir.List(parent)
				if err != nil {
					t.Fatal(err)
				}
				var left []string
				for _, r := range runs {
					left = append(left, r.Scenario)
				}
				if strings.Join(left, " ") != test.left || len(removed)+len(left) != len(paths) {
					t.Fatalf("left %v and removed %v, want %q left", left, removed, test.left)
				}
				if _, err := os.Stat(outside); err != nil {
					t.Fatalf("what a link led to is gone: %v", err)
				}
			})
		})
	}
}

func TestLock(t *testing.T) {
	t.Run("living run/opened again/refused with its owner", func(t *testing.T) {
		d, err := rundir.Create(t.TempDir(), "a")
		if err != nil {
			t.Fatal(err)
		}
		_, err = rundir.Open(d.Path())
		owner := fmt.Sprintf("run is alive (pid %d since ", os.Getpid())
		if !errors.Is(err, rundir.ErrAlive) || !strings.Contains(err.Error(), owner) {
			t.Fatalf("error is %v", err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := rundir.Open(d.Path())
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(again.Write(rundir.ResultFile, text("{}")), again.Close(), again.Close())
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Run("killed run/its lock is left/dead, and may be cleaned", func(t *testing.T) {
		parent := t.TempDir()
		path, kill := createElsewhere(t, parent)
		if alive, err := rundir.Alive(path); err != nil || !alive {
			t.Fatalf("alive is %v, %v before the kill", alive, err)
		}
		kill()
		if _, err := os.Stat(filepath.Join(path, "lock")); err != nil {
			t.Fatalf("the lock file did not stay: %v", err)
		}
		if alive, err := rundir.Alive(path); err != nil || alive {
			t.Fatalf("alive is %v, %v after the kill", alive, err)
		}
		removed, err := rundir.Clean(parent, 0)
		if diff := cmp.Diff([]string{filepath.Base(path)}, removed); err != nil || diff != "" {
			t.Fatalf("error %v, removed (-want +got):\n%s", err, diff)
		}
	})
}

// createElsewhere makes a run in another process, which holds it until killed.
func createElsewhere(t *testing.T, parent string) (path string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdIn+"="+parent)
	in, err := cmd.StdinPipe() // the other process ends with this one
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = in.Close()
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line), kill
}

// TestMain is also the other process of createElsewhere.
func TestMain(m *testing.M) {
	if parent := os.Getenv(holdIn); parent != "" {
		hold(parent)
		return
	}
	os.Exit(m.Run())
}

// holdIn names the environment variable with the parent of the run to hold.
const holdIn = "RUNDIR_TEST_PARENT"

func hold(parent string) {
	d, err := rundir.Create(parent, "held")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	fmt.Println(d.Path())
	_, _ = io.Copy(io.Discard, os.Stdin) // until killed, or the parent is gone
}
