// Package redis is the client of Redis: one key a message.
//
// It is used in the run step of load → plan → run → check → report and is the only importer of
// go-redis. A message is the string "<table>:<id>"; appended ones are the list "<table>:<id>:rows".
// The library's own retries are off: trying again is the caller's policy.
package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/dialed"
	"github.com/faultline-sim/faultline/simulators/message"
)

const (
	rows     = ":rows" // ends the key of a list of appended messages
	poolSize = 64
	// answerWithin bounds the wait for one answer where the context sets no deadline.
	answerWithin = 30 * time.Second
	// together is how many messages one command or pipeline is for.
	together = 256
)

// Client is one client of a Redis server. It implements conn.Store.
type Client struct {
	conns *dialed.Conns
	api   *redis.Client

	recall conn.Recall
}

var _ conn.Store = (*Client)(nil)

// New makes a client; it dials when it is first asked to. The library's log is process-wide and
// would tell of every fault on standard error, so it is turned off.
func New(cfg conn.Config) (*Client, error) {
	logging.Disable()
	conns := dialed.New()
	opt := &redis.Options{
		ClientName: cfg.Client,
		Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := conns.Dial(ctx, cfg.Dialer.Dial)
			if err != nil {
				return nil, err
			}
			return checkable{c}, nil
		},
		Protocol:                 2,
		MaxRetries:               -1,
		DialerRetries:            1,
		ReadTimeout:              answerWithin,
		WriteTimeout:             answerWithin,
		PoolSize:                 poolSize,
		ContextTimeoutEnabled:    true,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if cfg.Password != nil {
		opt.CredentialsProviderContext = func(context.Context) (string, string, error) {
			return cfg.User, cfg.Password(), nil
		}
	}
	return &Client{conns: conns, api: redis.NewClient(opt), recall: cfg.Recall}, nil
}

// Connect returns when the server answers a PING.
func (c *Client) Connect(ctx context.Context) error {
	if err := c.api.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("connect to redis: %w", judge(err))
	}
	return nil
}

// Declare does nothing: tables are prefixes of keys.
func (c *Client) Declare(context.Context, []string) error { return nil }

// Put sets all messages, up to 256 in one command.
func (c *Client) Put(ctx context.Context, table string, ms []*message.Message) error {
	return c.write(ms, func(batch []*message.Message) error {
		pairs := make([]any, 0, 2*len(batch))
		for _, m := range batch {
			body, err := m.Structured()
			if err != nil {
				return err
			}
			pairs = append(pairs, key(table, m.ID()), body)
		}
		if err := c.api.MSet(ctx, pairs...).Err(); err != nil {
			return fmt.Errorf("set %d keys of %q: %w", len(batch), table, judge(err))
		}
		return nil
	})
}

// Append pushes each message to its id's list, up to 256 in one transaction.
func (c *Client) Append(ctx context.Context, table string, ms []*message.Message) error {
	return c.write(ms, func(batch []*message.Message) error {
		pipe := c.api.TxPipeline()
		for _, m := range batch {
			body, err := m.Structured()
			if err != nil {
				return err
			}
			pipe.RPush(ctx, key(table, m.ID())+rows, body)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("push %d messages to %q: %w", len(batch), table, judge(err))
		}
		return nil
	})
}

// write goes through messages in batches. Once a batch is written, the outcome of the whole is
// unknown when a later one is not.
func (c *Client) write(ms []*message.Message, batch func([]*message.Message) error) error {
	for begin := 0; begin < len(ms); begin += together {
		err := batch(ms[begin:min(begin+together, len(ms))])
		if err != nil && begin > 0 && !errors.Is(err, conn.ErrUnknown) {
			return fmt.Errorf("%w of %d messages: %w", conn.ErrUnknown, len(ms), err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// message is what stands under a key.
func (c *Client) message(body []byte) (*message.Message, error) {
	m, err := message.FromStructured(body)
	return c.recall.Otherwise(m, err, body)
}

// Get reads one message; of appended ones the first.
func (c *Client) Get(ctx context.Context, table, id string) (*message.Message, error) {
	body, err := c.api.Get(ctx, key(table, id)).Bytes()
	if errors.Is(err, redis.Nil) {
		body, err = c.api.LIndex(ctx, key(table, id)+rows, 0).Bytes()
	}
	if errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("get %q of %q: %w", id, table, conn.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("get %q of %q: %w", id, table, judge(err))
	}
	m, err := c.message(body)
	if err != nil {
		return nil, fmt.Errorf("get %q of %q: %w", id, table, err)
	}
	return m, nil
}

// SetNX sets a key that is not there, to live for ttl (0 is for ever), and says whether it did:
// false means that somebody was first.
func (c *Client) SetNX(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	err := c.api.SetArgs(ctx, key, 1, redis.SetArgs{Mode: "NX", TTL: ttl}).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("set %q: %w", key, judge(err))
	}
	return true, nil
}

// Close cuts all connections and returns when none is left.
func (c *Client) Close() error {
	err := c.api.Close()
	c.conns.Sever()
	c.conns.Wait()
	if err != nil && !errors.Is(err, redis.ErrClosed) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close redis client: %w", err)
	}
	return nil
}

// judge marks what may have happened: all but the server's own refusals and failures to get a
// connection.
func judge(err error) error {
	var answered redis.Error
	if errors.As(err, &answered) || errors.Is(err, dialed.ErrDial) ||
		errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) ||
		errors.Is(err, redis.ErrClosed) {
		return err
	}
	return fmt.Errorf("%w: %w", conn.ErrUnknown, err)
}

func key(table, id string) string { return table + ":" + id }

// pattern matches every key of a table.
func pattern(table string) string {
	escape := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)
	return escape.Replace(table) + ":*"
}
