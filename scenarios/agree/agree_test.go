package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	of := func(words ...string) ran {
		r := ran{verdicts: map[string]string{}}
		for i := 0; i < len(words); i += 2 {
			r.verdicts[words[i]] = words[i+1]
		}
		return r
	}
	same := row{"lib/outage.yaml", []ran{of("load", "valid", "steady", "valid"),
		of("load", "valid", "steady", "valid")}}
	refused := row{"lib/down.yaml", []ran{of("load", "valid"), {refused: "down.yaml:3: it cannot"}}}
	other := row{"lib/cut.broken.yaml", []ran{of("load", "valid", "order[t]", "invalid"),
		of("load", "valid", "order[t]", "unknown", "trace[t]", "valid")}}
	columns := []column{{name: "embedded"}, {name: "containers"}}
	cases := []struct {
		name string
		rows []row
		same bool
		want string
	}{
		{"agree/all the same/yes", []row{same}, true, `
scenario  embedded  containers  agree
outage    2 valid   2 valid     yes

1 of 1 agree, 0 differ, 0 not comparable
`},
		{"agree/refused on containers/said with the reason", []row{refused}, true, `
scenario  embedded  containers  agree
down      1 valid   refused     not comparable

down is refused on containers: down.yaml:3: it cannot

0 of 1 agree, 0 differ, 1 not comparable
`},
		{"agree/a verdict differs/no", []row{same, other}, false, `
scenario    embedded            containers          agree
outage      2 valid             2 valid             yes
cut.broken  1 valid, 1 invalid  2 valid, 1 unknown  NO
  order[t]  invalid             unknown             
  trace[t]  none                valid               

1 of 2 agree, 1 differ, 0 not comparable
`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			if same := table(&out, columns, c.rows); same != c.same {
				t.Errorf("agree says %v, want %v", same, c.same)
			}
			if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), out.String()); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}

func TestColumns(t *testing.T) {
	columns, err := columnsOf("", "stream.protocol=kafka,nats,amqp")
	if err != nil {
		t.Fatal(err)
	}
	runs := []ran{{verdicts: map[string]string{"load": "valid", "order[t]": "valid"}},
		{verdicts: map[string]string{"load": "valid", "order[t]": "invalid"}},
		{refused: "it cannot"}}
	var out strings.Builder
	if table(&out, columns, []row{{"lib/outage.yaml", runs}}) {
		t.Error("agree says that order[t] is the same")
	}
	want := `scenario    kafka    nats                amqp     agree
outage      2 valid  1 valid, 1 invalid  refused  NO
  order[t]  valid    invalid             none     

outage is refused on amqp: it cannot

0 of 1 agree, 1 differ, 0 not comparable
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"stream.protocol", "stream.protocol=", "stream.protocol=kafka", "a=b,"} {
		if _, err := columnsOf("", bad); err == nil {
			t.Errorf("-vary %s is taken", bad)
		}
	}
}
