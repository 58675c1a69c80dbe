package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/faultline-sim/faultline/simulators/message"
)

// auditForeign reads a table whose rows are no envelopes, and says whether it is one.
func (c *Client) auditForeign(
	ctx context.Context, held *pgxpool.Conn, table string,
	found func(m *message.Message, copies int) error,
) (bool, error) {
	all, err := held.Query(ctx, "SELECT * FROM "+quote(table))
	if err != nil {
		return false, judge(err)
	}
	defer all.Close()
	columns := all.FieldDescriptions()
	if slices.ContainsFunc(columns, func(f pgconn.FieldDescription) bool { return f.Name == "key_seq" }) {
		return false, nil
	}
	for all.Next() {
		values, err := all.Values()
		if err != nil {
			return true, judge(err)
		}
		row := map[string]any{}
		for i, column := range columns {
			row[column.Name] = values[i]
		}
		body, err := json.Marshal(row)
		if err != nil {
			return true, fmt.Errorf("read row: %w", err)
		}
		m := c.recall(body)
		if m == nil {
			return true, fmt.Errorf("no message is known that row %.200s belongs to", body)
		}
		if err := found(m, 1); err != nil {
			return true, err
		}
	}
	return true, judge(all.Err())
}
