package kinesis

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn/lease"
)

// value is a DynamoDB value of the two types that lease tables have.
type value struct{ S, N string }

// table is a lease table in memory, beside a stream of so many shards.
type table struct {
	shards int

	mu     sync.Mutex
	rows   map[string]map[string]value
	broken func(operation string) bool // answers are lost; nil loses none
	taking map[string]string           // who takes from a shard now
	twice  []string                    // shards that two took from at once
}

func (s *table) answer(operation string, body []byte) (int, any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status, answer := s.do(operation, body)
	if s.broken != nil && s.broken(operation) {
		return http.StatusInternalServerError, map[string]string{"__type": "InternalFailure"}
	}
	return status, answer
}

func (s *table) do(operation string, body []byte) (int, any) {
	var in struct {
		Key, Item, ExpressionAttributeValues map[string]value
		ConditionExpression                  string
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return http.StatusBadRequest, map[string]string{"__type": "ValidationException"}
	}
	key := in.Key[columnKey].S + in.Item[columnKey].S
	row, values := s.rows[key], in.ExpressionAttributeValues
	met := map[string]bool{
		"":                               true,
		"leaseCounter = :seen":           row != nil && row[columnCounter] == values[":seen"],
		"attribute_not_exists(leaseKey)": row == nil,
		"leaseOwner = :owner AND leaseCounter = :seen": row != nil &&
			row[columnOwner] == values[":owner"] && row[columnCounter] == values[":seen"],
	}
	if !met[in.ConditionExpression] {
		return http.StatusBadRequest, map[string]string{"__type": "ConditionalCheckFailedException"}
	}
	switch operation {
	case "PutItem":
		s.rows[key] = in.Item
	case "DeleteItem":
		delete(s.rows, key)
	case "UpdateItem":
		now := map[string]value{columnKey: {S: key}}
		maps.Copy(now, row)
		now[columnOwner], now[columnCounter] = values[":owner"], values[":next"]
		s.rows[key] = now
		return http.StatusOK, map[string]any{"Attributes": written(now)}
	case "Scan":
		var items []any
		for _, r := range s.rows {
			items = append(items, written(r))
		}
		return http.StatusOK, map[string]any{"Items": items}
	case "ListShards":
		var shards []any
		for i := range s.shards {
			shards = append(shards, map[string]string{"ShardId": fmt.Sprint("shardId-", i)})
		}
		return http.StatusOK, map[string]any{"Shards": shards}
	}
	return http.StatusOK, map[string]any{}
}

// written is a row as an answer has it.
func written(row map[string]value) map[string]any {
	item := map[string]any{}
	for column, v := range row {
		if v.N != "" {
			item[column] = map[string]string{"N": v.N}
		} else {
			item[column] = map[string]string{"S": v.S}
		}
	}
	return item
}

// join runs a member until the returned function is called.
func (s *table) join(t *testing.T, name string) (leave func(orderly bool)) {
	c := faked(t, s.answer)
	c.tables = dynamodb.NewFromConfig(c.link.Config(), func(o *dynamodb.Options) {
		o.HTTPClient = fake(s.answer)
	})
	b := newBoard(c, c.leases("events", "worker"), "events", name)
	m := lease.New(lease.Options{
		Name: name, Table: b, Every: lookEvery, Lasts: leaseLasts, Grace: grace,
		Begin: func(part string) { s.take(part, name) },
		End: func(_ context.Context, part string) {
			s.let(part, name)
			b.drop(part, "42")
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		m.Run(ctx)
		b.leave(context.WithoutCancel(ctx))
		close(done)
	}()
	return func(orderly bool) {
		if !orderly {
			c.Crash()
		}
		cancel()
		<-done
		c.Close()
	}
}

func (s *table) take(part, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.taking[part]; other != "" {
		s.twice = append(s.twice, part+": "+other+" and "+name)
	}
	s.taking[part] = name
}

func (s *table) let(part, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taking[part] == name {
		delete(s.taking, part)
	}
}

// want wants so many shards with each member, sorted, within so long.
func (s *table) want(t *testing.T, when string, within time.Duration, shares ...int) {
	t.Helper()
	time.Sleep(within) // virtual
	s.mu.Lock()
	defer s.mu.Unlock()
	count := map[string]int{}
	for _, name := range s.taking {
		count[name]++
	}
	if diff := cmp.Diff(shares, slices.Sorted(maps.Values(count))); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
	if len(s.twice) > 0 {
		t.Errorf("%s: two took from a shard at once: %v", when, s.twice)
	}
}

func inTime(t *testing.T, test func(t *testing.T, s *table)) {
	synctest.Test(t, func(t *testing.T) {
		test(t, &table{shards: 6, rows: map[string]map[string]value{}, taking: map[string]string{}})
	})
}

func TestShardsAreSharedAsMembersComeAndGo(t *testing.T) {
	inTime(t, func(t *testing.T, s *table) {
		first := s.join(t, "a")
		s.want(t, "one member", time.Second, 6)
		second := s.join(t, "b")
		s.want(t, "two members", 2*time.Second, 3, 3)
		third, fourth := s.join(t, "c"), s.join(t, "d")
		s.want(t, "four members", 3*time.Second, 1, 1, 2, 2)
		first(true)
		s.want(t, "one has left", time.Second, 2, 2, 2)
		second(false)
		s.want(t, "one has crashed", 2300*time.Millisecond, 3, 3)
		third(true)
		fourth(true)
		s.want(t, "none is left", 0)
		for key, row := range s.rows {
			if row[columnOwner] != (value{}) {
				t.Errorf("%s is held by %v", key, row[columnOwner])
			}
			if strings.HasPrefix(key, "shardId-") && row[columnCheckpoint].S != "42" {
				t.Errorf("%s has checkpoint %v", key, row[columnCheckpoint])
			}
		}
	})
}

func TestLostAnswersStrandNoShard(t *testing.T) {
	inTime(t, func(t *testing.T, s *table) {
		lost := 0
		lose := func(operation string) bool {
			if operation == "Scan" || operation == "ListShards" {
				return false
			}
			lost++
			return lost%3 == 0
		}
		s.mu.Lock()
		s.broken = lose
		s.mu.Unlock()
		defer s.join(t, "a")(true)
		time.Sleep(5 * time.Second)
		defer s.join(t, "b")(true)
		s.want(t, "each third answer is lost", 10*time.Second, 3, 3)
		s.mu.Lock()
		s.broken = func(string) bool { return true }
		s.mu.Unlock()
		s.want(t, "none arrives", 2*time.Second)
		s.mu.Lock()
		s.broken = nil
		s.mu.Unlock()
		s.want(t, "all arrive again", time.Second, 3, 3)
	})
}

func TestRowsOfTheLongGoneAreRemoved(t *testing.T) {
	inTime(t, func(t *testing.T, s *table) {
		defer s.join(t, "a")(true)
		s.join(t, "b")(false)
		s.want(t, "one is gone", forgetAfter+2*time.Second, 6)
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, there := s.rows[memberPrefix+"b"]; there {
			t.Error("the row of b is still there")
		}
	})
}
