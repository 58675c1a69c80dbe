package history_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/faultline-sim/faultline/assertions/history"
)

func TestAnEventInJSONHasTheColumnsNamesAndOnlyWhatIsSet(t *testing.T) {
	e := history.New(history.Call, 1_500_000_000)
	e.Node, e.Replica, e.Flow, e.Message = "core.worker", 1, "orders", 0
	e.Attempt, e.Outcome, e.Reason, e.Duration = 2, history.Fail, "timeout", 300_000_000
	e.Trace[15] = 7
	got, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"at_ns":1500000000,"kind":"call","outcome":"fail","node":"core.worker","replica":1,` +
		`"flow":"orders","message":0,"trace":"00000000000000000000000000000007","attempt":2,` +
		`"reason":"timeout","duration_ns":300000000}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}

func TestAnEventComesBackFromJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := arbitrary().Draw(t, "event")
		src, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got history.Event
		if err := json.Unmarshal(src, &got); err != nil {
			t.Fatal(err)
		}
		same(t, []history.Event{want}, []history.Event{got})
	})
}

func TestAnEventOfUnknownWordsIsRefused(t *testing.T) {
	tests := []struct{ name, src string }{
		{"kind/missing/refused", `{"at_ns":1}`},
		{"kind/invented/refused", `{"at_ns":1,"kind":"sneeze"}`},
		{"outcome/invented/refused", `{"at_ns":1,"kind":"call","outcome":"maybe"}`},
		{"trace/too short/refused", `{"at_ns":1,"kind":"call","trace":"0102"}`},
		{"shape/a list/refused", `[]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := history.New(history.Ack, 9)
			if err := json.Unmarshal([]byte(tt.src), &e); err == nil {
				t.Errorf("read as %+v", e)
			}
			if diff := cmp.Diff(history.New(history.Ack, 9), e); diff != "" {
				t.Errorf("a refused event changed what it was read into:\n%s", diff)
			}
		})
	}
}
