package sqs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/aws"
)

// Source: Amazon SQS API reference, SetQueueAttributes.
const (
	leastRetention = time.Minute
	mostRetention  = 14 * 24 * time.Hour
)

// errMissing is conn.ErrRefused for want of a queue.
var errMissing = fmt.Errorf("%w: there is no queue", conn.ErrRefused)

// groupTag is the tag that tells whose queue it is.
const groupTag = "faultline-group"

// Queues are the queues of one account, by names without the suffix of FIFO queues. They serve the
// clients of both queues and topics. Safe for concurrent use.
type Queues struct {
	link   *aws.Link
	api    *sqs.Client
	recall conn.Recall

	auditing chan struct{} // capacity 1: audits of one client would take messages from each other

	mu    sync.Mutex
	known map[string][]*queue
	lanes map[string]*Lane // by url
}

// NewQueues asks over a link; recall is as in conn.Config.
func NewQueues(link *aws.Link, recall conn.Recall) *Queues {
	return &Queues{
		link: link, api: sqs.NewFromConfig(link.Config()), recall: recall,
		auditing: make(chan struct{}, 1),
		known:    map[string][]*queue{}, lanes: map[string]*Lane{},
	}
}

// queue is one queue that exists.
type queue struct {
	url  string
	fifo bool
}

// Spec is a queue to be made.
type Spec struct {
	Name      string // without the suffix
	FIFO      bool
	Group     string        // whose it is, "" for nobody's
	Retention time.Duration // how long it keeps a message; below a minute is the service's default
	Dead      string        // the queue of its dead letters, "" for none; of the same kind
	Attempts  int           // deliveries before that
	Policy    string        // who may send to it, a JSON document; "" is the account alone
}

// Probe asks whether the service answers.
func (q *Queues) Probe(ctx context.Context) error {
	_, err := q.api.ListQueues(ctx, &sqs.ListQueuesInput{MaxResults: new(int32(1))})
	return err
}

// Declare makes a queue, and the one of its dead letters, where there are none. It returns the
// queue's resource name. A queue that is there is left as it is; that of another group is
// conn.ErrUnsupported.
func (q *Queues) Declare(ctx context.Context, s Spec) (arn string, err error) {
	found, err := q.look(ctx, s.Name, s.FIFO)
	if err != nil {
		return "", err
	}
	if found == nil {
		found, err = q.create(ctx, s)
	} else {
		err = q.claim(ctx, found, s.Group)
	}
	if err != nil {
		return "", err
	}
	q.forget(s.Name)
	attributes, err := q.attributes(ctx, found, types.QueueAttributeNameQueueArn)
	if err != nil {
		return "", err
	}
	return attributes[string(types.QueueAttributeNameQueueArn)], nil
}

// claim says whether a queue is the group's, or nobody's.
func (q *Queues) claim(ctx context.Context, found *queue, group string) error {
	if group == "" {
		return nil
	}
	var tags map[string]string
	err := q.link.Insist(ctx, aws.AnswerTimeout, func(ctx context.Context) error {
		answer, err := q.api.ListQueueTags(ctx, &sqs.ListQueueTagsInput{QueueUrl: &found.url})
		if err == nil {
			tags = answer.Tags
		}
		return err
	})
	if err != nil {
		return err
	}
	if owner := tags[groupTag]; owner != "" && owner != encoded(group) {
		return fmt.Errorf("a queue has one group of consumers, this one is that of %q, not of %q: "+
			"use protocol sns: %w", owner, group, conn.ErrUnsupported)
	}
	return nil
}

func (q *Queues) create(ctx context.Context, s Spec) (*queue, error) {
	attributes, err := q.wanted(ctx, s)
	if err != nil {
		return nil, err
	}
	in := &sqs.CreateQueueInput{QueueName: new(nameOf(s.Name, s.FIFO)), Attributes: attributes}
	if s.Group != "" {
		in.Tags = map[string]string{groupTag: encoded(s.Group)}
	}
	var url string
	err = q.link.Insist(ctx, aws.AnswerTimeout, func(ctx context.Context) error {
		answer, err := q.api.CreateQueue(ctx, in)
		if err == nil {
			url = *answer.QueueUrl
		}
		return err
	})
	if code(err) == "QueueAlreadyExists" || code(err) == "QueueNameExists" {
		return q.look(ctx, s.Name, s.FIFO) // made meanwhile, with other attributes
	}
	if err != nil {
		return nil, err
	}
	return &queue{url: url, fifo: s.FIFO}, nil
}

// wanted are the attributes of a queue to be made.
func (q *Queues) wanted(ctx context.Context, s Spec) (map[string]string, error) {
	all := map[string]string{
		string(types.QueueAttributeNameVisibilityTimeout): seconds(visibility),
	}
	if s.FIFO {
		all[string(types.QueueAttributeNameFifoQueue)] = "true"
		all[string(types.QueueAttributeNameDeduplicationScope)] = "messageGroup"
		all[string(types.QueueAttributeNameFifoThroughputLimit)] = "perMessageGroupId"
	}
	if s.Retention >= leastRetention {
		all[string(types.QueueAttributeNameMessageRetentionPeriod)] =
			seconds(min(s.Retention, mostRetention))
	}
	if s.Policy != "" {
		all[string(types.QueueAttributeNamePolicy)] = s.Policy
	}
	if s.Dead == "" {
		return all, nil
	}
	dead, err := q.Declare(ctx, Spec{Name: s.Dead, FIFO: s.FIFO})
	if err != nil {
		return nil, fmt.Errorf("make queue of dead letters: %w", err)
	}
	redrive, err := json.Marshal(map[string]string{
		"deadLetterTargetArn": dead, "maxReceiveCount": strconv.Itoa(max(1, s.Attempts)),
	})
	all[string(types.QueueAttributeNameRedrivePolicy)] = string(redrive)
	return all, err
}

func seconds(d time.Duration) string {
	return strconv.Itoa(int((d + time.Second - 1) / time.Second))
}

func nameOf(name string, fifo bool) string {
	if fifo {
		return name + suffix
	}
	return name
}

// find is the queue that a name stands for: the FIFO one where there is one. One that does not
// exist is conn.ErrRefused.
func (q *Queues) find(ctx context.Context, name string) (*queue, error) {
	all, err := q.findAll(ctx, name)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// findAll are the queues that a name stands for: both kinds exist where messages were given up by
// FIFO queues and by handlers.
func (q *Queues) findAll(ctx context.Context, name string) ([]*queue, error) {
	q.mu.Lock()
	all := q.known[name]
	q.mu.Unlock()
	if len(all) > 0 {
		return all, nil
	}
	for _, fifo := range [...]bool{true, false} {
		found, err := q.look(ctx, name, fifo)
		if err != nil {
			return nil, err
		}
		if found != nil {
			all = append(all, found)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w %q: declare the channel first", errMissing, name)
	}
	q.mu.Lock()
	q.known[name] = all
	q.mu.Unlock()
	return all, nil
}

// Exists says whether there is a queue of a name.
func (q *Queues) Exists(ctx context.Context, name string) (bool, error) {
	_, err := q.findAll(ctx, name)
	if errors.Is(err, errMissing) {
		return false, nil
	}
	return err == nil, err
}

func (q *Queues) forget(name string) {
	q.mu.Lock()
	delete(q.known, name)
	q.mu.Unlock()
}

// look asks for one queue; nil says that there is none.
func (q *Queues) look(ctx context.Context, name string, fifo bool) (*queue, error) {
	found := &queue{fifo: fifo}
	err := q.link.Insist(ctx, aws.AnswerTimeout, func(ctx context.Context) error {
		answer, err := q.api.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{
			QueueName: new(nameOf(name, fifo)),
		})
		if err == nil {
			found.url = *answer.QueueUrl
		}
		return err
	})
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for queue %q: %w", nameOf(name, fifo), err)
	}
	return found, nil
}

// missing says that an answer was that there is no such queue.
func missing(err error) bool {
	switch code(err) {
	case "QueueDoesNotExist", "NonExistentQueue":
		return true
	}
	return false
}

// code is the code of an answer without its namespace, "" when err is none.
func code(err error) string {
	var answer interface{ ErrorCode() string }
	if !errors.As(err, &answer) {
		return ""
	}
	c := answer.ErrorCode()
	return c[strings.LastIndexAny(c, ".#")+1:]
}

func (q *Queues) attributes(
	ctx context.Context, of *queue, names ...types.QueueAttributeName,
) (map[string]string, error) {
	var found map[string]string
	err := q.link.Insist(ctx, aws.AnswerTimeout, func(ctx context.Context) error {
		answer, err := q.api.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
			QueueUrl: &of.url, AttributeNames: names,
		})
		if err == nil {
			found = answer.Attributes
		}
		return err
	})
	return found, err
}

// Depth is how many messages stand in a queue, those included that a consumer has in hand.
func (q *Queues) Depth(ctx context.Context, name string) (int64, error) {
	all, err := q.findAll(ctx, name)
	if err != nil {
		return 0, err
	}
	var depth int64
	for _, one := range all {
		n, err := q.standing(ctx, one)
		if err != nil {
			return 0, err
		}
		depth += n.visible + n.hidden
	}
	return depth, nil
}

// standing is how many messages a queue would deliver now, and how many it withholds.
type standing struct{ visible, hidden int64 }

func (q *Queues) standing(ctx context.Context, of *queue) (n standing, err error) {
	const (
		visible = types.QueueAttributeNameApproximateNumberOfMessages
		taken   = types.QueueAttributeNameApproximateNumberOfMessagesNotVisible
		delayed = types.QueueAttributeNameApproximateNumberOfMessagesDelayed
	)
	found, err := q.attributes(ctx, of, visible, taken, delayed)
	if err != nil {
		return n, err
	}
	for _, name := range [...]types.QueueAttributeName{visible, taken, delayed} {
		count, err := strconv.ParseInt(found[string(name)], 10, 64)
		if err != nil {
			return n, fmt.Errorf("read %s: %w", name, err)
		}
		if name == visible {
			n.visible = count
		} else {
			n.hidden += count
		}
	}
	return n, nil
}
