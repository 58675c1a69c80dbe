package conformance

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
)

// foreign writes the message {"order": 7} twice, as a program would that knows nothing of envelopes.
var foreign = map[string]func(t *testing.T, dial func(context.Context) (net.Conn, error)){
	"redis": func(t *testing.T, dial func(context.Context) (net.Conn, error)) {
		c := goredis.NewClient(&goredis.Options{
			Protocol: 2, DisableIdentity: true,
			Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		})
		defer c.Close()
		for _, key := range []string{"records:of:ann", "records:of:bob"} {
			if err := c.Set(t.Context(), key, `{"order": 7}`, 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
	},
	"s3": func(t *testing.T, dial func(context.Context) (net.Conn, error)) {
		transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dial(ctx)
		}}
		defer transport.CloseIdleConnections()
		for _, key := range []string{"ann.json", "bob.json"} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPut,
				"http://store/faultline/records/"+key, bytes.NewReader([]byte(`{"order": 7}`)))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				t.Fatal(answer.Status)
			}
		}
	},
	"postgres": func(t *testing.T, dial func(context.Context) (net.Conn, error)) {
		config, err := pgx.ParseConfig("host=127.0.0.1 user=faultline dbname=faultline sslmode=disable")
		if err != nil {
			t.Fatal(err)
		}
		config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }
		c, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		for _, statement := range []string{
			"DROP TABLE records", "CREATE TABLE records (customer text, " + `"order" bigint)`,
			"INSERT INTO records VALUES ('ann', 7)", "INSERT INTO records VALUES ('bob', 7)",
		} {
			if _, err := c.Exec(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	},
}

func TestWhatOthersWroteIsRecalledByItsBody(t *testing.T) {
	each(t, func(t *testing.T, b bed) {
		protocol := b.stack.Infos()[0].Protocol
		dialer := b.stack.Fabric().Dialer(toStore, 0)
		foreign[protocol](t, dialer.Dial)
		known := numbered(7)
		c, err := protocols[protocol](conn.Config{
			Dialer: dialer, Client: "audit",
			Recall: func(body []byte) *message.Message {
				if bytes.Contains(bytes.ReplaceAll(body, []byte(" "), nil), []byte(`"order":7`)) {
					return known
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		copies := map[string]int{}
		if err := c.Audit(t.Context(), table, func(m *message.Message, n int) error {
			copies[m.ID()] += n
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]int{known.ID(): 2}, copies); diff != "" {
			t.Errorf("copies (-want +got):\n%s", diff)
		}
		if err := b.store.Audit(t.Context(), table, ignore); err == nil {
			t.Error("who recalls nothing reads what others wrote without an error")
		}
	})
}
