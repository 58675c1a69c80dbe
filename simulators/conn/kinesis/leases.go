package kinesis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The columns of a lease table, by the Client Library's names.
const (
	columnKey        = "leaseKey"
	columnOwner      = "leaseOwner"
	columnCounter    = "leaseCounter"
	columnCheckpoint = "checkpoint"
)

// memberPrefix begins the key of a member's row; shards' begin with "shardId-".
const memberPrefix = "member/"

// leases are one group's lease table: a row a shard, which says who holds it and how far it is
// settled, and a row a member, whose counter is its sign of life. It is safe for concurrent use.
//
// Where the Client Library renews each lease by its own counter, a lease here is good as long as
// its holder's row lives. So a look costs two requests, however many shards are held. A shard's
// counter goes up when it is taken, and each write to its row asks for it: what a former holder
// sends late is refused.
type leases struct {
	client *Client
	table  string
}

// row is one shard of a lease table, or one member.
type row struct {
	key        string
	owner      string // "" for none
	counter    int64
	checkpoint string // "" is before the oldest record
}

// member is the name of a member whose row it is.
func (r row) member() (name string, ok bool) { return strings.CutPrefix(r.key, memberPrefix) }

func (c *Client) leases(channel, group string) *leases {
	return &leases{client: c, table: TableName(channel, group)}
}

// make returns when the table is there and can be used.
func (l *leases) make(ctx context.Context) error {
	err := l.client.ask(ctx, func(ctx context.Context) error {
		_, err := l.client.tables.CreateTable(ctx, &dynamodb.CreateTableInput{
			TableName:   &l.table,
			BillingMode: types.BillingModePayPerRequest,
			KeySchema: []types.KeySchemaElement{
				{AttributeName: sdk.String(columnKey), KeyType: types.KeyTypeHash},
			},
			AttributeDefinitions: []types.AttributeDefinition{{
				AttributeName: sdk.String(columnKey), AttributeType: types.ScalarAttributeTypeS,
			}},
		})
		return err
	})
	var exists *types.ResourceInUseException
	if err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("make lease table %q: %w", l.table, err)
	}
	for n := 1; ; n++ {
		active, err := l.active(ctx)
		if err != nil || active {
			return err
		}
		if err := l.client.link.Pause(ctx, n); err != nil {
			return fmt.Errorf("await lease table %q: %w", l.table, err)
		}
	}
}

func (l *leases) active(ctx context.Context) (active bool, err error) {
	err = l.client.ask(ctx, func(ctx context.Context) error {
		answer, err := l.client.tables.DescribeTable(ctx, &dynamodb.DescribeTableInput{
			TableName: &l.table,
		})
		active = err == nil && answer.Table.TableStatus == types.TableStatusActive
		return err
	})
	if err != nil {
		return false, fmt.Errorf("ask for lease table %q: %w", l.table, err)
	}
	return active, nil
}

// all are the rows of the table; none where there is no table.
func (l *leases) all(ctx context.Context) ([]row, error) {
	var rows []row
	ask := &dynamodb.ScanInput{TableName: &l.table, ConsistentRead: sdk.Bool(true)}
	for {
		var answer *dynamodb.ScanOutput
		err := l.client.ask(ctx, func(ctx context.Context) (err error) {
			answer, err = l.client.tables.Scan(ctx, ask)
			return err
		})
		var missing *types.ResourceNotFoundException
		if errors.As(err, &missing) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read lease table %q: %w", l.table, err)
		}
		for _, item := range answer.Items {
			rows = append(rows, toRow(item))
		}
		if len(answer.LastEvaluatedKey) == 0 {
			return rows, nil
		}
		ask.ExclusiveStartKey = answer.LastEvaluatedKey
	}
}

func toRow(item map[string]types.AttributeValue) row {
	text := func(column string) string {
		if v, ok := item[column].(*types.AttributeValueMemberS); ok {
			return v.Value
		}
		return ""
	}
	r := row{key: text(columnKey), owner: text(columnOwner), checkpoint: text(columnCheckpoint)}
	if v, ok := item[columnCounter].(*types.AttributeValueMemberN); ok {
		r.counter, _ = strconv.ParseInt(v.Value, 10, 64) // else 0, which no write will match
	}
	return r
}

// beat gives a member's sign of life.
func (l *leases) beat(ctx context.Context, member string, counter int64) error {
	_, err := l.put(ctx, row{key: memberPrefix + member, counter: counter}, nil)
	return err
}

// mark writes how far a held shard is settled; false when it is held no longer. A shard that was
// read to its end is held no longer by that.
func (l *leases) mark(ctx context.Context, held row, checkpoint string) (bool, error) {
	now := held
	now.checkpoint = checkpoint
	if checkpoint == shardEnd {
		now.owner = ""
	}
	return l.put(ctx, now, &held)
}

// release gives a held shard up, settled as far as its row says.
func (l *leases) release(ctx context.Context, held row) error {
	now := held
	now.owner = ""
	_, err := l.put(ctx, now, &held)
	return err
}

// put writes a row; where held is not nil, only while the shard is held like that. Met is false
// when it is not.
func (l *leases) put(ctx context.Context, r row, held *row) (met bool, err error) {
	ask := &dynamodb.PutItemInput{TableName: &l.table, Item: r.item()}
	if held != nil {
		ask.ConditionExpression = sdk.String("leaseOwner = :owner AND leaseCounter = :seen")
		ask.ExpressionAttributeValues = map[string]types.AttributeValue{
			":owner": text(held.owner), ":seen": number(held.counter),
		}
	}
	err = l.client.ask(ctx, func(ctx context.Context) error {
		_, err := l.client.tables.PutItem(ctx, ask)
		return err
	})
	return l.met(r.key, err)
}

// take makes a member the holder of a shard whose row stands as seen, and returns the row as it is
// then; nil when another was faster.
func (l *leases) take(ctx context.Context, seen row, member string) (*row, error) {
	ask := &dynamodb.UpdateItemInput{
		TableName: &l.table, Key: keyOf(seen.key), ReturnValues: types.ReturnValueAllNew,
		UpdateExpression:    sdk.String("SET leaseOwner = :owner, leaseCounter = :next"),
		ConditionExpression: sdk.String("leaseCounter = :seen"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":owner": text(member), ":next": number(seen.counter + 1), ":seen": number(seen.counter),
		},
	}
	if seen.counter == 0 {
		ask.ConditionExpression = sdk.String("attribute_not_exists(leaseKey)")
		delete(ask.ExpressionAttributeValues, ":seen")
	}
	var now row
	err := l.client.ask(ctx, func(ctx context.Context) error {
		answer, err := l.client.tables.UpdateItem(ctx, ask)
		if err == nil {
			now = toRow(answer.Attributes)
		}
		return err
	})
	if met, err := l.met(seen.key, err); err != nil || !met {
		return nil, err
	}
	return &now, nil
}

// met tells a write whose condition was not met from one that failed.
func (l *leases) met(key string, err error) (bool, error) {
	var otherwise *types.ConditionalCheckFailedException
	if errors.As(err, &otherwise) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("write %q in lease table %q: %w", key, l.table, err)
	}
	return true, nil
}

// forget removes a member's row; where a counter is given, unless it has moved since.
func (l *leases) forget(ctx context.Context, member string, seen int64) error {
	key := memberPrefix + member
	ask := &dynamodb.DeleteItemInput{TableName: &l.table, Key: keyOf(key)}
	if seen != 0 {
		ask.ConditionExpression = sdk.String("leaseCounter = :seen")
		ask.ExpressionAttributeValues = map[string]types.AttributeValue{":seen": number(seen)}
	}
	err := l.client.ask(ctx, func(ctx context.Context) error {
		_, err := l.client.tables.DeleteItem(ctx, ask)
		return err
	})
	_, err = l.met(key, err)
	return err
}

// item is the row as it is written; a column without a value is left out.
func (r row) item() map[string]types.AttributeValue {
	item := keyOf(r.key)
	item[columnCounter] = number(r.counter)
	if r.owner != "" {
		item[columnOwner] = text(r.owner)
	}
	if r.checkpoint != "" {
		item[columnCheckpoint] = text(r.checkpoint)
	}
	return item
}

func keyOf(key string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{columnKey: text(key)}
}

func text(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }

func number(v int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(v, 10)}
}
