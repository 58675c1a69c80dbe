package message_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/faultline-sim/faultline/simulators/message"
)

// sample has every field set.
func sample() *message.Message {
	return &message.Message{
		Flow: "app-query", Number: 42, Source: "device.app/7", Subject: "장치 17",
		Time:  time.Date(2026, 9, 18, 5, 43, 3, 120_000_000, time.UTC),
		Trace: [16]byte{0: 1, 15: 2}, Span: [8]byte{7: 3},
		Key: "방 \"3\"", KeySeq: 12, Attempt: 2, ParentFlow: "tele-metry", ParentNumber: 7,
		Expires: time.Date(2026, 9, 18, 5, 44, 0, 0, time.UTC),
		Headers: map[string]string{"reason": "schema", "a & b": "x=y;%"},
		Data:    []byte(`{"temp": 21.5}`),
	}
}

// anyMessage draws messages as flows may carry them, odd ones included.
func anyMessage(t *rapid.T) *message.Message {
	when := rapid.Custom(func(t *rapid.T) time.Time {
		seconds := rapid.Int64Range(-1e10, 1e11).Draw(t, "s")
		return time.Unix(seconds, rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).UTC()
	})
	m := &message.Message{
		Flow:         rapid.StringN(1, 20, -1).Draw(t, "flow"),
		Number:       rapid.Int64Min(0).Draw(t, "number"),
		Source:       rapid.StringN(1, 20, -1).Draw(t, "source"),
		Subject:      rapid.String().Draw(t, "subject"),
		Time:         when.Draw(t, "time"),
		Key:          rapid.String().Draw(t, "key"),
		KeySeq:       rapid.Int64().Draw(t, "seq"),
		Attempt:      rapid.IntRange(0, 1<<31-1).Draw(t, "attempt"),
		ParentNumber: -1,
		Data:         rapid.OneOf(rapid.SliceOf(rapid.Byte()), object()).Draw(t, "data"),
	}
	copy(m.Trace[:], rapid.SliceOfN(rapid.ByteMin(1), 16, 16).Draw(t, "trace"))
	copy(m.Span[:], rapid.SliceOfN(rapid.ByteMin(1), 8, 8).Draw(t, "span"))
	if rapid.Bool().Draw(t, "derived") {
		m.ParentFlow = rapid.StringN(1, 20, -1).Draw(t, "parent flow")
		m.ParentNumber = rapid.Int64Min(0).Draw(t, "parent number")
	}
	if rapid.Bool().Draw(t, "expires") {
		m.Expires = when.Draw(t, "expiry")
	}
	if rapid.Bool().Draw(t, "dead") {
		m.Headers = rapid.MapOfN(rapid.String(), rapid.String(), 1, 4).Draw(t, "headers")
	}
	if len(m.Data) == 0 {
		m.Data = nil
	}
	return m
}

func object() *rapid.Generator[[]byte] {
	return rapid.Map(rapid.MapOf(rapid.String(), rapid.String()), func(m map[string]string) []byte {
		b, _ := json.MarshalIndent(m, "", " ")
		return b
	})
}

func TestRoundTrip(t *testing.T) {
	t.Run("structured/any message/the same again", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			want := anyMessage(t)
			doc, err := want.Structured()
			if err != nil {
				t.Fatal(err)
			}
			got, err := message.FromStructured(doc)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Fatalf("%v\n%s\n%s", err, doc, diff)
			}
		})
	})
	t.Run("binary/any message/the same again", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			want := anyMessage(t)
			headers := map[string]string{}
			for name, value := range want.Attributes {
				headers[name] = message.EscapeHeader(value)
			}
			got, err := message.FromAttributes(func(name string) string {
				value, err := message.UnescapeHeader(headers[name])
				if err != nil {
					t.Fatal(err)
				}
				return value
			}, want.Data)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Fatalf("%v\n%v\n%s", err, headers, diff)
			}
		})
	})
	t.Run("token/set/in neither form", func(t *testing.T) {
		m := sample().With(func(m *message.Message) { m.Token = "s3cret" })
		doc, err := m.Structured()
		if err != nil || strings.Contains(string(doc), "s3cret") {
			t.Errorf("%v: %s", err, doc)
		}
		for name, value := range m.Attributes {
			if strings.Contains(value, "s3cret") {
				t.Errorf("attribute %s carries the token", name)
			}
		}
	})
}

// TestSDK holds both directions against the CloudEvents project's own reader and writer.
func TestSDK(t *testing.T) {
	t.Run("structured/read by the SDK/every attribute", func(t *testing.T) {
		m := sample()
		doc, err := m.Structured()
		if err != nil {
			t.Fatal(err)
		}
		var e cloudevents.Event
		if err := json.Unmarshal(doc, &e); err != nil {
			t.Fatal(err)
		}
		if err := e.Validate(); err != nil {
			t.Error(err)
		}
		got := []any{e.SpecVersion(), e.ID(), e.Source(), e.Type(), e.Subject(), e.Time(),
			e.DataContentType(), string(e.Data()), e.Extensions()}
		want := []any{"1.0", "app-query-42", "device.app/7", "faultline.app-query", "장치 17", m.Time,
			"application/json", `{"temp": 21.5}`, map[string]any{
				"traceparent":  m.Traceparent(),
				"partitionkey": "방 \"3\"",
				"sequence":     "0000000012",
				"expirytime":   "2026-09-18T05:44:00Z",
				"attempt":      int32(2),
				"parentid":     "tele-metry-7",
				"headers":      "a+%26+b=x%3Dy%3B%25&reason=schema",
			}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("structured/written by the SDK/the same message", func(t *testing.T) {
		want := sample()
		e := cloudevents.New()
		e.SetID(want.ID())
		e.SetSource(want.Source)
		e.SetType("faultline." + want.Flow)
		e.SetSubject(want.Subject)
		e.SetTime(want.Time)
		for name, value := range want.Attributes {
			switch name {
			case message.AttrTraceparent, message.AttrPartitionKey, message.AttrSequence,
				message.AttrExpiryTime, message.AttrParentID, message.AttrHeaders:
				e.SetExtension(name, value)
			}
		}
		e.SetExtension(message.AttrAttempt, want.Attempt)
		if err := e.SetData(cloudevents.ApplicationJSON, json.RawMessage(`{"temp":21.5}`)); err != nil {
			t.Fatal(err)
		}
		doc, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		want.Data = []byte(`{"temp":21.5}`)
		got, err := message.FromStructured(doc)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v\n%s\n%s", err, doc, diff)
		}
	})
}

func TestFromStructured(t *testing.T) {
	const head = `{"specversion":"1.0","id":"a-b-3","source":"s","type":"faultline.a-b"`
	want := &message.Message{Flow: "a-b", Number: 3, Source: "s", ParentNumber: -1}
	data := func(text string) *message.Message {
		return want.With(func(m *message.Message) { m.Data = []byte(text) })
	}
	for _, c := range []struct {
		name, doc string
		want      *message.Message
		err       string
	}{
		{"optional attributes/absent/zero", head + `}`, want, ""},
		{"unknown attributes/present/passed over", head + `,"x":1,"y":{"z":[]}}`, want, ""},
		{"data/not an object/as it is", head + `,"data":"text"}`, data(`"text"`), ""},
		{"data/base64/decoded", head + `,"data_base64":"aGk="}`, data("hi"), ""},
		{"data/null/none", head + `,"data":null}`, want, ""},
		{"escapes/in attributes/decoded", strings.Replace(head, `"s"`, `"\u0073"`, 1) + `}`, want, ""},
		{"document/not JSON/refused", `{"specversion":`, nil, "not JSON"},
		{"document/not an object/refused", `[1]`, nil, "read event"},
		{"specversion/another/refused", `{"specversion":"0.3"}`, nil, `specversion "0.3"`},
		{"id/without number/refused", `{"specversion":"1.0","id":"a"}`, nil, `id "a"`},
		{"type/of another flow/refused", strings.Replace(head, "line.a-b", "line.c", 1) + `}`, nil,
			`type "faultline.c"`},
		{"source/absent/refused", strings.Replace(head, `"source":"s",`, "", 1) + `}`, nil, "no source"},
		{"time/not RFC 3339/refused", head + `,"time":"today"}`, nil, `time "today"`},
		{"traceparent/zero id/refused", head + `,"traceparent":"00-` + strings.Repeat("0", 32) +
			`-0000000000000001-01"}`, nil, "zero id"},
		{"attempt/an object/refused", head + `,"attempt":{}}`, nil, `attribute "attempt"`},
		{"attempt/negative/refused", head + `,"attempt":-1}`, nil, `attempt "-1"`},
		{"data_base64/not base64/refused", head + `,"data_base64":"?"}`, nil, "data_base64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := message.FromStructured([]byte(c.doc))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want one with %q", err, c.err)
				}
				return
			}
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*message.Message)
	}{
		{"flow/absent/refused", func(m *message.Message) { m.Flow = "" }},
		{"source/absent/refused", func(m *message.Message) { m.Source = "" }},
		{"number/negative/refused", func(m *message.Message) { m.Number = -1 }},
		{"key/not UTF-8/refused", func(m *message.Message) { m.Key = "\xff" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := sample().With(c.change).Structured(); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestWith(t *testing.T) {
	m := sample()
	before := maps.Clone(m.Headers)
	c := m.With(func(c *message.Message) {
		c.Attempt++
		c.Headers["reason"] = "other"
	})
	if diff := cmp.Diff(before, m.Headers); diff != "" || m.Attempt != 2 || c.Attempt != 3 {
		t.Errorf("the original changed: %s", diff)
	}
}

func TestParseID(t *testing.T) {
	for _, c := range []struct {
		id     string
		flow   string
		number int64
		ok     bool
	}{
		{"telemetry-0", "telemetry", 0, true},
		{"app-query-12", "app-query", 12, true},
		{"a--3", "a-", 3, true},
		{"a", "", 0, false}, {"-1", "", 0, false}, {"a-", "", 0, false}, {"a-01", "", 0, false},
		{"a-+1", "", 0, false}, {"a-9223372036854775808", "", 0, false}, {"a-1 ", "", 0, false},
	} {
		flow, number, err := message.ParseID(c.id)
		if flow != c.flow || number != c.number || (err == nil) != c.ok {
			t.Errorf("%q: %q %d %v", c.id, flow, number, err)
		}
	}
}

func TestParseTraceparent(t *testing.T) {
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for _, c := range []struct {
		name, text string
		ok         bool
	}{
		{"version 00/sampled/read", "00-" + trace + "-" + span + "-01", true},
		{"version 00/not sampled/read", "00-" + trace + "-" + span + "-00", true},
		{"later version/longer/read", "01-" + trace + "-" + span + "-01-more", true},
		{"version 00/longer/refused", "00-" + trace + "-" + span + "-01-more", false},
		{"version ff/any/refused", "ff-" + trace + "-" + span + "-01", false},
		{"upper case/any/refused", "00-" + strings.ToUpper(trace) + "-" + span + "-01", false},
		{"zero trace/any/refused", "00-" + strings.Repeat("0", 32) + "-" + span + "-01", false},
		{"too short/any/refused", "00-" + trace + "-" + span, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			gotTrace, gotSpan, err := message.ParseTraceparent(c.text)
			m := message.Message{Trace: gotTrace, Span: gotSpan}
			if (err == nil) != c.ok || c.ok && m.Traceparent() != "00-"+trace+"-"+span+"-01" {
				t.Errorf("%q, %v", m.Traceparent(), err)
			}
		})
	}
}
