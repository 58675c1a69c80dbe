package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/faultline-sim/faultline/reports"
	"github.com/faultline-sim/faultline/topology/claims"
)

func TestTheReadmeTellsWhatBrokersCan(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := reports.Brokers(&table, claims.All(), true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), strings.TrimSpace(table.String())) {
		t.Errorf("README.md has another table than faultline brokers --format markdown:\n%s", &table)
	}
}
