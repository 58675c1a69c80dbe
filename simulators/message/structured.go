package message

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/buger/jsonparser"
)

// The members of a structured event that hold its data.
const (
	memberData       = "data"
	memberDataBase64 = "data_base64"
)

// Structured is the message as a CloudEvents 1.0 JSON document, the form for places that carry one
// body and no headers. Data that is a JSON object stands in it as it is, anything else as
// data_base64. The token is not in it. It fails where Check does.
func (m *Message) Structured() ([]byte, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	var buf [64]byte
	b := make([]byte, 0, 320+len(m.Data)+len(m.Data)/3)
	b = append(b, `{"specversion":"1.0"`...)
	b = appendMember(b, AttrID, appendID(buf[:0], m.Flow, m.Number))
	b = appendMember(b, AttrType, append(append(buf[:0], typePrefix...), m.Flow...))
	b = appendMember(b, AttrSource, m.Source)
	b = appendMember(b, AttrSubject, m.Subject)
	b = appendMember(b, AttrTime, appendTime(buf[:0], m.Time))
	b = appendMember(b, AttrDataContentType, ContentType)
	b = appendMember(b, AttrTraceparent, m.appendTraceparent(buf[:0]))
	b = appendMember(b, AttrPartitionKey, m.Key)
	b = appendMember(b, AttrSequence, m.appendSequence(buf[:0]))
	b = appendMember(b, AttrExpiryTime, appendTime(buf[:0], m.Expires))
	if m.Attempt != 0 {
		b = appendAttempt(append(b, `,"attempt":`...), m.Attempt)
	}
	b = appendMember(b, AttrParentID, m.parentID())
	b = appendMember(b, AttrHeaders, encodeHeaders(m.Headers))
	return append(appendData(b, m.Data), '}'), nil
}

// appendMember is one string member, nothing for an empty one.
func appendMember[T string | []byte](b []byte, name string, value T) []byte {
	if len(value) == 0 {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	for i := range len(value) {
		if c := value[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(string(value)) // a string cannot fail
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, value...)
	return append(b, '"')
}

func appendData(b, data []byte) []byte {
	switch {
	case len(data) == 0:
		return b
	case data[0] == '{' && data[len(data)-1] == '}' && json.Valid(data):
		b = append(b, `,"data":`...)
		return append(b, data...)
	}
	b = append(b, `,"data_base64":"`...)
	b = base64.StdEncoding.AppendEncode(b, data)
	return append(b, '"')
}

// FromStructured reads a CloudEvents 1.0 JSON document. Attributes that a message has no room for
// are passed over. The message's data may point into doc.
func FromStructured(doc []byte) (*Message, error) {
	if !json.Valid(doc) {
		return nil, fmt.Errorf("read event: not JSON")
	}
	var e structured
	if err := jsonparser.ObjectEach(doc, e.member); err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	e.decode()
	return FromAttributes(e.get, e.data)
}

// structured is a document's members while it is read; slices point into it.
type structured struct {
	values [len(attributes)][]byte
	texts  [len(attributes)]string
	data   []byte
}

// attributes are the members that are read as text.
var attributes = [...]string{
	AttrSpecVersion, AttrID, AttrSource, AttrType, AttrSubject, AttrTime, AttrTraceparent,
	AttrPartitionKey, AttrSequence, AttrExpiryTime, AttrAttempt, AttrParentID, AttrHeaders,
}

func (e *structured) member(name, value []byte, kind jsonparser.ValueType, _ int) error {
	switch string(name) {
	case memberData:
		e.data = dataOf(value, kind)
		return nil
	case memberDataBase64:
		data, err := base64.StdEncoding.AppendDecode(nil, value)
		if err != nil {
			return fmt.Errorf("decode data_base64: %w", err)
		}
		e.data = data
		return nil
	}
	i := index(name)
	if i < 0 || kind == jsonparser.Null {
		return nil
	}
	if kind != jsonparser.String && kind != jsonparser.Number {
		return fmt.Errorf("read attribute %q: %s is not text", name, kind)
	}
	e.values[i] = value
	return nil
}

// dataOf is the data member as the bytes of its JSON; the parser takes a string's quotes away.
func dataOf(value []byte, kind jsonparser.ValueType) []byte {
	switch kind {
	case jsonparser.Null:
		return nil
	case jsonparser.String:
		quoted := append([]byte{'"'}, value...)
		return append(quoted, '"')
	}
	return value
}

// decode turns the values into text, in one piece of memory.
func (e *structured) decode() {
	var buf [512]byte
	all := buf[:0]
	var ends [len(attributes)]int
	for i, value := range e.values {
		all = appendText(all, value)
		ends[i] = len(all)
	}
	text, begin := string(all), 0
	for i, end := range ends {
		e.texts[i] = text[begin:end]
		begin = end
	}
}

// appendText decodes a JSON string without its quotes.
func appendText(b, value []byte) []byte {
	if bytes.IndexByte(value, '\\') < 0 {
		return append(b, value...)
	}
	text, err := jsonparser.ParseString(value)
	if err != nil { // half a surrogate pair, which the standard library replaces
		_ = json.Unmarshal(dataOf(value, jsonparser.String), &text)
	}
	return append(b, text...)
}

// get is an attribute's text.
func (e *structured) get(name string) string {
	if i := index(name); i >= 0 {
		return e.texts[i]
	}
	return ""
}

func index[T string | []byte](name T) int {
	for i, a := range attributes {
		if string(name) == a {
			return i
		}
	}
	return -1
}
