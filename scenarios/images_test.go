package scenarios

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestImagesComeFromWhereTheFileSays(t *testing.T) {
	tests := []struct {
		name, text string
		want       map[string]string // of redis and kafka alone
	}{
		{"images/of a registry/all from there", "registry: localhost:5000/hub/\n",
			map[string]string{"redis:7.4": "localhost:5000/hub/redis:7.4",
				"apache/kafka:3.9.1": "localhost:5000/hub/apache/kafka:3.9.1"}},
		{"images/one by one/only those", "images:\n  redis:7.4: mine/redis:8\n",
			map[string]string{"redis:7.4": "mine/redis:8"}},
		{"images/both/the one that is named wins",
			"images: {\"redis:7.4\": mine/redis:8}\nregistry: hub\n",
			map[string]string{"redis:7.4": "mine/redis:8",
				"apache/kafka:3.9.1": "hub/apache/kafka:3.9.1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all, diags, err := Images(imagesFile(t, tt.text))
			if err != nil || !diags.Empty() {
				t.Fatal(err, diags.String())
			}
			got := map[string]string{}
			for _, image := range []string{"redis:7.4", "apache/kafka:3.9.1"} {
				if all[image] != "" {
					got[image] = all[image]
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMistakesInAFileOfImages(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"images/unknown image/nearest", "images: {\"redis:7.3\": x}\n",
			`did you mean "redis:7.4" [unknown-value]`},
		{"images/unknown key/nearest", "regsitry: x\n", `did you mean "registry" [unknown-key]`},
		{"images/an address/refused", "registry: http://localhost\n", `[wrong-form]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, diags, err := Images(imagesFile(t, tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if got := diags.String(); !strings.Contains(got, tt.want) {
				t.Errorf("mistakes %q, want %q in them", got, tt.want)
			}
		})
	}
	if _, _, err := Images("nowhere.yaml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v of a file that is not there", err)
	}
}

func imagesFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "images.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
