package byhand

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/segmentio/kafka-go"
)

const (
	rowsTogether = 128 // in one statement
	columns      = 6
)

// etl loads changes into the warehouse, batch by batch.
type etl struct {
	reader *kafka.Reader
	pool   *pgxpool.Pool
	loaded func(int64)
	failed func(error)
}

func (p *Pipeline) startETL(ctx, life context.Context, cfg Config) error {
	pool, err := pgxpool.New(ctx,
		"postgres://byhand@"+cfg.Postgres+"/faultline?sslmode=disable&pool_max_conns=8")
	if err != nil {
		return fmt.Errorf("make pool of warehouse: %w", err)
	}
	p.onClose(func() error { pool.Close(); return nil })
	_, err = pool.Exec(ctx, "CREATE TABLE records (id text PRIMARY KEY, flow text NOT NULL, "+
		"number bigint NOT NULL, key text NOT NULL, key_seq bigint NOT NULL, body bytea NOT NULL)")
	if err != nil {
		return fmt.Errorf("make table: %w", err)
	}
	t := &etl{
		reader: newReader(cfg, changes, "etl_service"), pool: pool,
		loaded: cfg.Loaded, failed: cfg.Failed,
	}
	p.onClose(t.reader.Close)
	fetched := make(chan kafka.Message, batchSize)
	p.running.Go(func() { t.fetch(life, fetched) })
	p.running.Go(func() { t.work(life, fetched) })
	return nil
}

func (t *etl) fetch(life context.Context, fetched chan<- kafka.Message) {
	for {
		m, err := t.reader.FetchMessage(life)
		if life.Err() != nil {
			return
		}
		if err != nil {
			t.failed(fmt.Errorf("fetch: %w", err))
			continue
		}
		select {
		case fetched <- m:
		case <-life.Done():
			return
		}
	}
}

func (t *etl) work(life context.Context, fetched <-chan kafka.Message) {
	for {
		batch := gather(life, fetched)
		if batch == nil {
			return
		}
		if err := t.load(life, batch); err != nil && life.Err() == nil {
			t.failed(err)
		}
	}
}

// gather is a full batch, or what has come within the batch's time; nil when life has ended.
func gather(life context.Context, fetched <-chan kafka.Message) []kafka.Message {
	var batch []kafka.Message
	var over <-chan time.Time
	for len(batch) < batchSize {
		select {
		case m := <-fetched:
			if batch == nil {
				batch = make([]kafka.Message, 0, batchSize)
				over = time.After(batchWithin)
			}
			batch = append(batch, m)
		case <-over:
			return batch
		case <-life.Done():
			return nil
		}
	}
	return batch
}

func (t *etl) load(ctx context.Context, batch []kafka.Message) error {
	for begin := 0; begin < len(batch); begin += rowsTogether {
		if err := t.insert(ctx, batch[begin:min(begin+rowsTogether, len(batch))]); err != nil {
			return err
		}
	}
	return wrap("commit changes", t.reader.CommitMessages(ctx, batch...))
}

func (t *etl) insert(ctx context.Context, rows []kafka.Message) error {
	args := make([]any, 0, columns*len(rows))
	numbers := make([]int64, len(rows))
	for i := range rows {
		e, err := fromRecord(&rows[i])
		if err != nil {
			return err
		}
		body, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("write event %q: %w", e.ID, err)
		}
		seq, err := strconv.ParseInt(e.Sequence, 10, 64)
		if err != nil {
			return fmt.Errorf("read sequence of %q: %w", e.ID, err)
		}
		if numbers[i], err = e.number(); err != nil {
			return err
		}
		args = append(args, e.ID, "telemetry", numbers[i], e.PartitionKey, seq, body)
	}
	if _, err := t.pool.Exec(ctx, insertRows(len(rows)), args...); err != nil {
		return fmt.Errorf("insert %d rows: %w", len(rows), err)
	}
	for _, n := range numbers {
		t.loaded(n)
	}
	return nil
}

func insertRows(n int) string {
	var s strings.Builder
	s.WriteString("INSERT INTO records (id, flow, number, key, key_seq, body) VALUES ")
	for row := range n {
		if row > 0 {
			s.WriteString(", ")
		}
		for column := range columns {
			s.WriteString([]string{"($", ", $"}[min(column, 1)])
			s.WriteString(strconv.Itoa(row*columns + column + 1))
		}
		s.WriteString(")")
	}
	return s.String() + " ON CONFLICT DO NOTHING"
}
