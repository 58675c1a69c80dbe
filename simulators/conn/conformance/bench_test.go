package conformance

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/s3"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology/wire"
)

// put is one write of a message by hand, with the library that the client uses.
type put func(ctx context.Context, id string, body []byte) error

// BenchmarkPut compares the client's Put with a bare loop over the same library and wire, by
// turns in one run. The metrics are messages a second of each and the client's share of the bare
// loop's.
func BenchmarkPut(b *testing.B) {
	for protocol, bare := range map[string]func(*testing.B, wire.Dialer) put{
		"s3": bareS3, "postgres": barePostgres, "redis": bareRedis,
	} {
		b.Run(protocol, func(b *testing.B) {
			bed := newBed(b, protocol)
			byHand := bare(b, bed.stack.Fabric().Dialer(toStore, 0))
			var client, hand time.Duration
			n := int64(0)
			for b.Loop() {
				client += clientPut(b, bed.store, numbered(2*n))
				hand += handPut(b, byHand, numbered(2*n+1))
				n++
			}
			b.ReportMetric(float64(n)/client.Seconds(), "client/s")
			b.ReportMetric(float64(n)/hand.Seconds(), "bare/s")
			b.ReportMetric(hand.Seconds()/client.Seconds(), "ratio")
		})
	}
}

func clientPut(b *testing.B, c conn.Store, m *message.Message) time.Duration {
	begun := time.Now()
	if err := c.Put(b.Context(), table, one(m)); err != nil {
		b.Fatal(err)
	}
	return time.Since(begun)
}

func handPut(b *testing.B, p put, m *message.Message) time.Duration {
	begun := time.Now()
	body, err := m.Structured()
	if err != nil {
		b.Fatal(err)
	}
	if err := p(b.Context(), m.ID(), body); err != nil {
		b.Fatal(err)
	}
	return time.Since(begun)
}

// dial is the wire as the libraries want it.
func dial(d wire.Dialer) func(ctx context.Context, _, _ string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return d.Dial(ctx) }
}

func bareS3(_ *testing.B, d wire.Dialer) put {
	api := awss3.New(awss3.Options{
		BaseEndpoint: aws.String("http://localhost"), Region: "us-east-1", UsePathStyle: true,
		Credentials:                credentials.NewStaticCredentialsProvider("a", "b", ""),
		HTTPClient:                 &http.Client{Transport: &http.Transport{DialContext: dial(d)}},
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
	})
	return func(ctx context.Context, id string, body []byte) error {
		_, err := api.PutObject(ctx, &awss3.PutObjectInput{
			Bucket: aws.String(s3.Bucket), Key: aws.String(table + "/" + id), Body: bytes.NewReader(body),
		})
		return err
	}
}

func barePostgres(b *testing.B, d wire.Dialer) put {
	cfg, err := pgxpool.ParseConfig("host=127.0.0.1 user=faultline sslmode=disable")
	if err != nil {
		b.Fatal(err)
	}
	cfg.ConnConfig.DialFunc = dial(d)
	pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	return func(ctx context.Context, id string, body []byte) error {
		_, err := pool.Exec(ctx, "INSERT INTO "+table+" (id, flow, number, key, key_seq, body) "+
			"VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING", id, "f", 1, "k", 1, body)
		return err
	}
}

func bareRedis(b *testing.B, d wire.Dialer) put {
	api := goredis.NewClient(&goredis.Options{Dialer: dial(d), Protocol: 2, DisableIdentity: true})
	b.Cleanup(func() { api.Close() })
	return func(ctx context.Context, id string, body []byte) error {
		return api.Set(ctx, table+":"+id, body, 0).Err()
	}
}

// BenchmarkPutMany is messages a second in batches of 500.
func BenchmarkPutMany(b *testing.B) {
	const batch = 500
	for protocol := range protocols {
		b.Run(protocol, func(b *testing.B) {
			bed := newBed(b, protocol)
			ms := make([]*message.Message, batch)
			n := int64(0)
			for b.Loop() {
				for i := range ms {
					ms[i] = numbered(n)
					n++
				}
				if err := bed.store.Put(b.Context(), table, ms); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// BenchmarkReady is the time from nothing to a store whose client is answered.
func BenchmarkReady(b *testing.B) {
	for protocol := range protocols {
		b.Run(protocol, func(b *testing.B) {
			bed := newBed(b, protocol)
			e := bed.stack.Engine("store")
			for b.Loop() {
				if err := e.Stop(b.Context()); err != nil {
					b.Fatal(err)
				}
				if err := e.Start(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
