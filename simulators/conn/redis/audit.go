package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/faultline-sim/faultline/simulators/message"
)

// scanCount is how many keys the server is asked for at once.
const scanCount = 1000

// held is where an id's messages are.
type held struct{ asString, asList bool }

// Audit reads every message of a table with its copies, in the order of ids.
func (c *Client) Audit(
	ctx context.Context, table string, found func(m *message.Message, copies int) error,
) error {
	byID, err := c.scan(ctx, table)
	if err != nil {
		return err
	}
	ids := make([]string, 0, len(byID))
	for id := range byID {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for page := range slices.Chunk(ids, together) {
		if err := c.auditPage(ctx, table, page, byID, found); err != nil {
			return err
		}
	}
	return nil
}

// scan finds a table's keys. A server may tell a key more than once.
func (c *Client) scan(ctx context.Context, table string) (map[string]held, error) {
	byID := map[string]held{}
	for cursor := uint64(0); ; {
		keys, next, err := c.api.Scan(ctx, cursor, pattern(table), scanCount).Result()
		if err != nil {
			return nil, fmt.Errorf("scan %q: %w", table, judge(err))
		}
		for _, k := range keys {
			id, list := strings.CutSuffix(strings.TrimPrefix(k, table+":"), rows)
			h := byID[id]
			byID[id] = held{asString: h.asString || !list, asList: h.asList || list}
		}
		if next == 0 {
			return byID, nil
		}
		cursor = next
	}
}

func (c *Client) auditPage(
	ctx context.Context, table string, ids []string, byID map[string]held,
	found func(m *message.Message, copies int) error,
) error {
	pipe := c.api.Pipeline()
	bodies := make([]*redis.StringCmd, len(ids))
	counts := make([]*redis.IntCmd, len(ids))
	for i, id := range ids {
		k := key(table, id)
		if byID[id].asString {
			bodies[i] = pipe.Get(ctx, k)
		} else {
			bodies[i] = pipe.LIndex(ctx, k+rows, 0)
		}
		if byID[id].asList {
			counts[i] = pipe.LLen(ctx, k+rows)
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("read %d keys of %q: %w", len(ids), table, judge(err))
	}
	for i, id := range ids {
		body, _ := bodies[i].Bytes() // Exec told its error
		m, err := c.message(body)
		if err != nil {
			return fmt.Errorf("read %q of %q: %w", id, table, err)
		}
		copies := 0
		if byID[id].asString {
			copies++
		}
		if counts[i] != nil {
			copies += int(counts[i].Val())
		}
		if err := found(m, copies); err != nil {
			return err
		}
	}
	return nil
}
