package scenarios

import (
	"math"
	"strconv"
	"strings"

	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// maxBytes bounds an amount of data, far above what a run moves.
const maxBytes = 1 << 40

var byteUnits = map[string]float64{
	"B": 1, "KB": 1000, "MB": 1_000_000, "GB": 1_000_000_000, "KiB": 1 << 10, "MiB": 1 << 20,
	"GiB": 1 << 30,
}

// parseBytes reads "512B", "64KB" or "1.5 MiB".
func parseBytes(text string) (float64, bool) {
	text = strings.TrimSpace(text)
	number := strings.TrimRight(text, "BKMGi")
	unit, ok := byteUnits[text[len(number):]]
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	n *= unit
	return n, ok && err == nil && n >= 1 && n <= maxBytes && !math.IsNaN(n)
}

// bytesText is an amount of data as parseBytes reads it, in the largest unit that makes it a whole
// number.
func bytesText(n int64) string {
	for _, unit := range []string{"GiB", "GB", "MiB", "MB", "KiB", "KB"} {
		if size := int64(byteUnits[unit]); n >= size && n%size == 0 {
			return strconv.FormatInt(n/size, 10) + unit
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// byteCount reads an amount of data.
func byteCount(v yamlpos.Value) int64 {
	n, ok := parseBytes(v.Text())
	if !ok {
		v.Errorf("wrong-unit",
			"%q is not a number of bytes, write it as 512B, 64KB or 1MiB, at most 1024GiB",
			v.Text())
		return 0
	}
	return int64(n)
}

// bytesPerSecond reads "64KB/s".
func bytesPerSecond(v yamlpos.Value) float64 {
	amount, perSecond := strings.CutSuffix(strings.TrimSpace(v.Text()), "/s")
	n, ok := parseBytes(amount)
	if !ok || !perSecond {
		v.Errorf("wrong-unit",
			"%q is not a bandwidth, write it as 64KB/s or 1MB/s, at most 1024GiB/s", v.Text())
		return 0
	}
	return n
}

// share reads a part of messages or members, above none.
func share(v yamlpos.Value) float64 {
	s := v.Share()
	if zero, err := strconv.ParseFloat(strings.TrimSuffix(v.Text(), "%"),
		64); err == nil && zero == 0 {
		v.Errorf("out-of-range", "%q is nobody at all, accepted: more than 0%%", v.Text())
	}
	return s
}
