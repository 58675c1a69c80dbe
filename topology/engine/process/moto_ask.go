package process

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/faultline-sim/faultline/topology/engine/embedded/s3"
)

// lists are what a service is asked for a list of, and how.
var lists = map[string]struct {
	of  string
	ask func(net.Conn) error
}{
	"kinesis": {"streams", listStreams},
	"s3":      {"buckets", s3.ListBuckets},
	"sns":     {"topics", listTopics},
	"sqs":     {"queues", listQueues},
}

// MotoAsked is what AskMoto asks a service for, in words.
func MotoAsked(service string) string { return "a list of " + lists[service].of }

// AskMoto asks a server of AWS's interfaces for a list of what there is of a service, "kinesis",
// "s3", "sns" or "sqs", over a connection that is used for nothing else; nil says that it answered.
func AskMoto(service string, c net.Conn) error { return lists[service].ask(c) }

func listStreams(c net.Conn) error {
	return list(c, "kinesis", http.Header{
		"Content-Type": {"application/x-amz-json-1.1"},
		"X-Amz-Target": {"Kinesis_20131202.ListStreams"},
	}, "{}")
}

func listQueues(c net.Conn) error {
	return list(c, "sqs", http.Header{
		"Content-Type": {"application/x-amz-json-1.0"},
		"X-Amz-Target": {"AmazonSQS.ListQueues"},
	}, "{}")
}

func listTopics(c net.Conn) error {
	return list(c, "sns", http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"},
	}, "Action=ListTopics&Version=2010-03-31")
}

// list asks a service, which the server knows by the scope of the credentials. It checks no
// signature.
func list(c net.Conn, service string, head http.Header, body string) error {
	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1/", strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header = head
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=faultline/20260101/us-east-1/"+
		service+"/aws4_request, SignedHeaders=host, Signature=none")
	if err := r.Write(c); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s was asked for a list and answered %s: %.200q", service, answer.Status,
			said)
	}
	return err
}

// ThrottleMoto sets how many requests a second a server lets pass, 0 for any number, over a
// connection that is used for nothing else.
func ThrottleMoto(c net.Conn, perSecond float64) error {
	path := "http://127.0.0.1/faultline/throttle?rate=" +
		strconv.FormatFloat(perSecond, 'g', -1, 64)
	r, err := http.NewRequest(http.MethodPost, path, nil)
	if err == nil {
		err = r.Write(c)
	}
	if err != nil {
		return fmt.Errorf("throttle moto: %w", err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), r)
	if err != nil {
		return fmt.Errorf("throttle moto: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("throttle moto: answered %s", answer.Status)
	}
	return nil
}
