package message_test

import (
	"testing"

	"github.com/faultline-sim/faultline/simulators/message"
)

// plain is a message as most are: nothing in it needs escaping.
func plain() *message.Message {
	return sample().With(func(m *message.Message) {
		m.Subject, m.Key, m.Headers, m.ParentFlow = "17", "device17", nil, ""
	})
}

func BenchmarkStructured(b *testing.B) {
	m := plain()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Structured(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFromStructured(b *testing.B) {
	doc, err := plain().Structured()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := message.FromStructured(doc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAttributes(b *testing.B) {
	m := plain()
	b.ReportAllocs()
	for b.Loop() {
		m.Attributes(func(string, string) bool { return true })
	}
}
