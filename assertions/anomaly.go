package assertions

import "strconv"

// Subject is what the anomaly is about, in one word: the message's id, else the place, else the
// flow.
func (a Anomaly) Subject() string {
	switch {
	case a.Flow != "" && a.Message >= 0:
		return a.Flow + "-" + strconv.FormatInt(a.Message, 10)
	case a.Where != "":
		return a.Where
	}
	return a.Flow
}
