package byhand

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/segmentio/kafka-go"
)

const bucket = "byhand"

// api stores each record in the data lake and tells the stream of it.
type api struct {
	lake   *s3.Client
	writer *kafka.Writer
	stored func(int64)
	failed func(error)
}

func (p *Pipeline) startAPI(ctx, _ context.Context, cfg Config) error {
	transport := &http.Transport{MaxIdleConnsPerHost: 2 * workers * lanes}
	a := &api{
		writer: newWriter(cfg.Kafka), stored: cfg.Stored, failed: cfg.Failed,
		lake: s3.New(s3.Options{
			BaseEndpoint: aws.String("http://" + cfg.S3), Region: "us-east-1", UsePathStyle: true,
			Credentials:                credentials.NewStaticCredentialsProvider("byhand", "byhand", ""),
			HTTPClient:                 &http.Client{Transport: transport},
			RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
			ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		}),
	}
	p.onClose(func() error { transport.CloseIdleConnections(); return a.writer.Close() })
	_, err := a.lake.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)})
	if err != nil {
		return fmt.Errorf("make bucket: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /records", a.records)
	server := &http.Server{Handler: mux}
	p.running.Go(func() {
		if err := server.Serve(cfg.API); !errors.Is(err, http.ErrServerClosed) {
			cfg.Failed(fmt.Errorf("serve data API: %w", err))
		}
	})
	p.onClose(server.Close)
	return nil
}

func (a *api) records(w http.ResponseWriter, r *http.Request) {
	if err := a.keep(r); err != nil {
		a.failed(err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (a *api) keep(r *http.Request) error {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("read record: %w", err)
	}
	e, err := fromAttributes(func(name string) string { return r.Header.Get(headerName(name)) }, data)
	if err != nil {
		return err
	}
	number, err := e.number()
	if err != nil {
		return err
	}
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write event %q: %w", e.ID, err)
	}
	_, err = a.lake.PutObject(r.Context(), &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("records/" + e.ID),
		Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))),
		ContentType: aws.String("application/cloudevents+json"),
	})
	if err != nil {
		return fmt.Errorf("store %q: %w", e.ID, err)
	}
	a.stored(number)
	return wrap("publish change", a.writer.WriteMessages(r.Context(), record(changes, e)))
}
