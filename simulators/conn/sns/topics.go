package sns

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/aws"
	"github.com/faultline-sim/faultline/simulators/conn/sqs"
)

const (
	// mostBytes is the size of a message at most, its attributes included, and of one request's
	// messages together. Source: Amazon SNS endpoints and quotas.
	mostBytes = 256 << 10
	suffix    = ".fifo"
)

// topic is one that exists.
type topic struct {
	arn  string
	fifo bool
}

// list learns of all topics that there are.
func (c *Client) list(ctx context.Context) error {
	pages := sns.NewListTopicsPaginator(c.api, &sns.ListTopicsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, t := range page.Topics {
			c.know(*t.TopicArn)
		}
	}
	return nil
}

func (c *Client) know(arn string) *topic {
	name := arn[strings.LastIndexByte(arn, ':')+1:]
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.topics[name] == nil {
		c.topics[name] = &topic{arn, strings.HasSuffix(name, suffix)}
	}
	return c.topics[name]
}

// known is a topic that was heard of, the FIFO one where there are both.
func (c *Client) known(name string) *topic {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.topics[name+suffix]; t != nil {
		return t
	}
	return c.topics[name]
}

// find is the topic that a name stands for; one that does not exist is conn.ErrRefused.
func (c *Client) find(ctx context.Context, name string) (*topic, error) {
	if t := c.known(name); t != nil {
		return t, nil
	}
	if err := c.link.Insist(ctx, aws.AnswerTimeout, c.list); err != nil {
		return nil, fmt.Errorf("look for topic %q: %w", name, err)
	}
	if t := c.known(name); t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("%w: there is no topic %q: declare the channel first",
		conn.ErrRefused, name)
}

// create makes a topic where there is none of the name.
func (c *Client) create(ctx context.Context, name string, fifo bool) (*topic, error) {
	if t := c.known(name); t != nil && t.fifo == fifo {
		return t, nil
	}
	in := &sns.CreateTopicInput{Name: &name}
	if fifo {
		in.Name = new(name + suffix)
		in.Attributes = map[string]string{"FifoTopic": "true", "FifoThroughputScope": "MessageGroup"}
	}
	var made *topic
	err := c.link.Insist(ctx, aws.AnswerTimeout, func(ctx context.Context) error {
		answer, err := c.api.CreateTopic(ctx, in)
		if err == nil {
			made = c.know(*answer.TopicArn)
		}
		return err
	})
	return made, err
}

// join makes a queue and subscribes it to a topic. Bodies and attributes arrive in it as they were
// published.
func (c *Client) join(ctx context.Context, to *topic, s sqs.Spec, f Filter) error {
	s.Policy = lettingIn(to)
	queue, err := c.queues.Declare(ctx, s)
	if err != nil {
		return err
	}
	attributes := map[string]string{"RawMessageDelivery": "true"}
	if f.Policy != "" {
		attributes["FilterPolicy"] = f.Policy
		attributes["FilterPolicyScope"] = "MessageAttributes"
		if f.Body {
			attributes["FilterPolicyScope"] = "MessageBody"
		}
	}
	return c.link.Insist(ctx, aws.AnswerTimeout, func(ctx context.Context) error {
		_, err := c.api.Subscribe(ctx, &sns.SubscribeInput{
			TopicArn: &to.arn, Protocol: new("sqs"), Endpoint: &queue, Attributes: attributes,
		})
		return err
	})
}

// lettingIn is the policy of a queue that a topic may send to.
func lettingIn(from *topic) string {
	policy, _ := json.Marshal(map[string]any{ // strings cannot fail
		"Version": "2012-10-17",
		"Statement": []any{map[string]any{
			"Effect":    "Allow",
			"Principal": map[string]string{"Service": "sns.amazonaws.com"},
			"Action":    "sqs:SendMessage",
			"Resource":  "*",
			"Condition": map[string]any{"ArnEquals": map[string]string{"aws:SourceArn": from.arn}},
		}},
	})
	return string(policy)
}

// put sends a letter to the topic that a name stands for.
func (c *Client) put(ctx context.Context, name string, l *sqs.Letter) error {
	to, err := c.find(ctx, name)
	if err != nil {
		return err
	}
	return c.lane(to).Put(ctx, l)
}

// lane is the one to a topic.
func (c *Client) lane(to *topic) *sqs.Lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lanes[to.arn]
	if l == nil {
		l = sqs.NewLane(c.link, sqs.LaneOptions{
			Most: mostBytes, Ordered: to.fifo,
			Send: func(ctx context.Context, letters []*sqs.Letter) []error {
				return c.send(ctx, to, letters)
			},
		})
		c.lanes[to.arn] = l
	}
	return l
}

// send makes one request.
func (c *Client) send(ctx context.Context, to *topic, letters []*sqs.Letter) []error {
	in := &sns.PublishBatchInput{TopicArn: &to.arn}
	for i, l := range letters {
		e := types.PublishBatchRequestEntry{
			Id: new(strconv.Itoa(i)), Message: &l.Body,
			MessageAttributes: make(map[string]types.MessageAttributeValue, len(l.Attributes)),
		}
		for name, value := range l.Attributes {
			e.MessageAttributes[name] = types.MessageAttributeValue{
				DataType: new("String"), StringValue: &value,
			}
		}
		if to.fifo {
			e.MessageGroupId, e.MessageDeduplicationId = &l.Group, &l.Copy
		}
		in.PublishBatchRequestEntries = append(in.PublishBatchRequestEntries, e)
	}
	var answer *sns.PublishBatchOutput
	err := c.link.Try(ctx, aws.AnswerTimeout, func(ctx context.Context) (err error) {
		answer, err = c.api.PublishBatch(ctx, in)
		return err
	})
	if err != nil {
		return sqs.All(len(letters), err)
	}
	told := sqs.Untold(len(letters))
	for _, ok := range answer.Successful {
		told.Tell(*ok.Id, nil)
	}
	for _, f := range answer.Failed {
		told.Tell(*f.Id, aws.Entry(f.Code, f.Message, f.SenderFault))
	}
	return told
}
