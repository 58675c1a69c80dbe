package aws

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/faultline-sim/faultline/simulators/conn"
)

// ErrThrottled is an answer that there is no room for a request just now. Nothing was written, and
// a later try may be let in.
var ErrThrottled = errors.New("throttled")

// Judge marks the error of a request that was begun to be written, or was not: as
// conn.ErrUnknown, conn.ErrRefused or ErrThrottled, or not at all when certainly nothing came of
// it.
func Judge(err error, begun bool) error {
	if err == nil {
		return nil
	}
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return marked(Mark(answer.ErrorCode(), status(err)), err)
	}
	if !begun || errors.Is(err, conn.ErrUnknown) {
		return err
	}
	return marked(conn.ErrUnknown, err)
}

func marked(mark, err error) error {
	if mark == nil {
		return err
	}
	return fmt.Errorf("%w: %w", mark, err)
}

// status is the HTTP status of an answer, 0 for none.
func status(err error) int {
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}

// Mark says what an answer's code means: ErrThrottled, conn.ErrUnknown, conn.ErrRefused, or nil for
// one that another try may change and that wrote nothing. Entries of a batch have codes of their
// own; their status is 400 where the sender is at fault, else 500.
//
// Source: Amazon SQS, SNS and Kinesis API references, "Common Errors"; the SDK's throttle codes.
func Mark(code string, status int) error {
	code = strings.TrimSuffix(code[strings.LastIndexAny(code, ".#")+1:], "Exception")
	switch {
	case throttles[code] || status == http.StatusTooManyRequests:
		return ErrThrottled
	case passing[code]:
		return nil
	case status >= http.StatusInternalServerError:
		return conn.ErrUnknown
	}
	return conn.ErrRefused
}

// Entry is the judged error of one entry of a batch, by what the answer says of it.
func Entry(code, text *string, senderFault bool) error {
	status := http.StatusInternalServerError
	if senderFault {
		status = http.StatusBadRequest
	}
	err := fmt.Errorf("answered %s: %s", aws.ToString(code), aws.ToString(text))
	return marked(Mark(aws.ToString(code), status), err)
}

// throttles are the codes of answers that wrote nothing for want of room. It is not changed.
var throttles = map[string]bool{
	"Throttling":                    true,
	"Throttled":                     true,
	"RequestThrottled":              true,
	"TooManyRequests":               true,
	"ProvisionedThroughputExceeded": true,
	"RequestLimitExceeded":          true,
	"BandwidthLimitExceeded":        true,
	"LimitExceeded":                 true,
	"SlowDown":                      true,
	"PriorRequestNotComplete":       true,
	"KMSThrottling":                 true,
	"OverLimit":                     true, // too many messages of a queue in flight
	"ServiceUnavailable":            true,
}

// passing are the codes of other answers that wrote nothing and that time changes. It is not
// changed.
var passing = map[string]bool{
	"ResourceInUse":          true, // a stream that is being made
	"QueueDeletedRecently":   true,
	"OperationAborted":       true,
	"ConcurrentModification": true,
	"ExpiredIterator":        true,
	"RequestExpired":         true,
}
