package judge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// duration is the type whose values are texts ("1.5s") in the files of this package, so that no
// number stands there without its unit.
var duration = reflect.TypeFor[time.Duration]()

// encode is a value as indented JSON with its durations as texts.
func encode(v any) ([]byte, error) {
	src, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	tree, err := turned(src, reflect.TypeOf(v), asText)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(tree, "", " ")
}

// decode reads what encode wrote into the value that a pointer points at.
func decode(src []byte, into any) error {
	tree, err := turned(src, reflect.TypeOf(into), asNumber)
	if err != nil {
		return err
	}
	if src, err = json.Marshal(tree); err != nil {
		return err
	}
	return json.Unmarshal(src, into)
}

// turned is JSON of a type with each of its durations turned into something else.
func turned(src []byte, t reflect.Type, turn func(any) (any, error)) (tree any, err error) {
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber() // seeds and times do not fit a float
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	return walk(tree, t, turn)
}

// walk turns the durations of a tree, which it knows by the type that the tree is JSON of.
func walk(tree any, t reflect.Type, turn func(any) (any, error)) (any, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch branch := tree.(type) {
	case map[string]any:
		return branch, walkObject(branch, t, turn)
	case []any:
		for i := range branch {
			turned, err := walk(branch[i], t.Elem(), turn)
			if err != nil {
				return nil, err
			}
			branch[i] = turned
		}
		return branch, nil
	case nil:
		return nil, nil
	}
	if t == duration {
		return turn(tree)
	}
	return tree, nil
}

func walkObject(object map[string]any, t reflect.Type, turn func(any) (any, error)) error {
	if t.Kind() == reflect.Map {
		return walkAll(object, func(string) reflect.Type { return t.Elem() }, turn)
	}
	types := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		types[name] = f.Type
	}
	return walkAll(object, func(key string) reflect.Type { return types[key] }, turn)
}

// walkAll turns the durations in the values of an object; one of no type is left alone.
func walkAll(
	object map[string]any, typeOf func(key string) reflect.Type, turn func(any) (any, error),
) error {
	for key, value := range object {
		t := typeOf(key)
		if t == nil {
			continue
		}
		turned, err := walk(value, t, turn)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		object[key] = turned
	}
	return nil
}

func asText(v any) (any, error) {
	n, ok := v.(json.Number)
	if !ok {
		return nil, fmt.Errorf("%v is no number of nanoseconds", v)
	}
	ns, err := n.Int64()
	return time.Duration(ns).String(), err
}

func asNumber(v any) (any, error) {
	s, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("%v is no duration, write it as 1.5s", v)
	}
	d, err := time.ParseDuration(s)
	return int64(d), err
}
