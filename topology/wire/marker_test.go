package wire

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestScanCountsAcrossBorders(t *testing.T) {
	const marker = "00-0123456789abcdef"
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(
			rapid.SampledFrom([]string{marker, "x", "00-", "00-0123456789abcde", "\n"}), 0, 20,
		).Draw(t, "parts")
		text := strings.Join(parts, "")
		cuts := rapid.SliceOfN(rapid.IntRange(0, len(text)), 0, 30).Draw(t, "cuts")
		slices.Sort(cuts)
		s, from, got := newScan(marker), 0, int64(0)
		for _, to := range append(cuts, len(text)) {
			got += s.count([]byte(text[from:to]))
			from = to
		}
		if want := int64(strings.Count(text, marker)); got != want {
			t.Errorf("%q cut at %v: %d markers, want %d", text, cuts, got, want)
		}
	})
}

func TestScanWithoutMarkerFindsNothing(t *testing.T) {
	if got := newScan("").count([]byte("00-0123")); got != 0 {
		t.Errorf("found %d", got)
	}
}

// Of a marker as short as that some of the forms in base64 have no characters to themselves.
func TestScanOfAShortMarker(t *testing.T) {
	for marker, least := range map[string]int64{"m": 2, "mm": 1, "nn": 0} {
		if got := newScan(marker).count([]byte("a mm b")); got < least {
			t.Errorf("%q: found %d, want %d or more", marker, got, least)
		}
	}
}

func TestScanFindsWhatIsInBase64(t *testing.T) {
	const marker = "00-0123456789abcdef"
	for before := range 7 {
		text := strings.Repeat("x", before) + marker + "0011-b7ad6b7169203331-01"
		coded := base64.StdEncoding.EncodeToString([]byte(text))
		for cut := range len(coded) {
			s := newScan(marker)
			if got := s.count([]byte(coded[:cut])) + s.count([]byte(coded[cut:])); got != 1 {
				t.Fatalf("%d bytes before, cut at %d: %d markers, want 1", before, cut, got)
			}
		}
	}
}
