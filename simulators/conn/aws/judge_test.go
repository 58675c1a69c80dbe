package aws_test

import (
	"errors"
	"testing"

	"github.com/aws/smithy-go"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/aws"
)

func TestMark(t *testing.T) {
	for _, tt := range []struct {
		name, code string
		status     int
		want       error
	}{
		{"throttled/by SQS/there is no room", "RequestThrottled", 403, aws.ErrThrottled},
		{"throttled/by SNS/there is no room", "Throttled", 429, aws.ErrThrottled},
		{"throttled/in general/there is no room", "ThrottlingException", 400, aws.ErrThrottled},
		{"throttled/by Kinesis/there is no room",
			"ProvisionedThroughputExceededException", 400, aws.ErrThrottled},
		{"throttled/with a namespace/there is no room",
			"com.amazonaws.sqs#RequestThrottled", 400, aws.ErrThrottled},
		{"throttled/by the status/there is no room", "Whatever", 429, aws.ErrThrottled},
		{"unavailable/503/there is no room", "ServiceUnavailable", 503, aws.ErrThrottled},
		{"failed/500/unknown", "InternalFailure", 500, conn.ErrUnknown},
		{"failed/502 of somebody between/unknown", "UnknownError", 502, conn.ErrUnknown},
		{"missing/queue/refused", "AWS.SimpleQueueService.NonExistentQueue", 400, conn.ErrRefused},
		{"forbidden/signature/refused", "SignatureDoesNotMatch", 403, conn.ErrRefused},
		{"busy/stream is being made/not marked", "ResourceInUseException", 400, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := aws.Mark(tt.code, tt.status); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name  string
		err   error
		begun bool
		want  error
	}{
		{"answer/refused/refused", &smithy.GenericAPIError{Code: "NotFound"}, true, conn.ErrRefused},
		{"no answer/begun/unknown", broken, true, conn.ErrUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := aws.Judge(tt.err, tt.begun); !errors.Is(got, tt.want) || !errors.Is(got, tt.err) {
				t.Errorf("got %v", got)
			}
		})
	}
	t.Run("no answer/not begun/as it is", func(t *testing.T) {
		if got := aws.Judge(broken, false); got != broken {
			t.Errorf("got %v", got)
		}
	})
}
