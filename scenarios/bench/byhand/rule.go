package byhand

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/segmentio/kafka-go"
)

const (
	ruleQueue = 64
	alertOver = 80.0
)

var errSchema = errors.New("device and temp are needed")

// rule passes readings from MQTT on to the stream, one at a time, and acknowledges each when the
// stream has it.
type rule struct {
	writer *kafka.Writer
	failed func(error)
}

func (p *Pipeline) startRule(_, life context.Context, cfg Config) error {
	r := &rule{writer: newWriter(cfg.Kafka), failed: cfg.Failed}
	p.onClose(r.writer.Close)
	queue := make(chan mqtt.Message, ruleQueue)
	p.running.Go(func() { r.work(life, queue) })
	client := mqtt.NewClient(clientOptions(cfg.MQTT, "event_rule").
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			select {
			case queue <- m:
			case <-life.Done():
			}
		}))
	if err := connect(client); err != nil {
		return fmt.Errorf("connect event rule: %w", err)
	}
	p.onClose(func() error { client.Disconnect(sayGoodbye); return nil })
	token := client.Subscribe("$share/event_rule/telemetry/+", qos, nil)
	token.Wait()
	return wrap("subscribe event rule", token.Error())
}

func (r *rule) work(life context.Context, queue <-chan mqtt.Message) {
	for {
		select {
		case m := <-queue:
			if err := r.pass(life, m.Payload()); err != nil {
				r.failed(fmt.Errorf("pass on %s: %w", m.Topic(), err))
				continue
			}
			m.Ack()
		case <-life.Done():
			return
		}
	}
}

func (r *rule) pass(ctx context.Context, payload []byte) error {
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		return err
	}
	var body reading
	if err := json.Unmarshal(e.Data, &body); err != nil {
		return err
	}
	if body.Device == "" || body.Temp == nil {
		return errSchema
	}
	if err := r.writer.WriteMessages(ctx, record(events, &e)); err != nil {
		return err
	}
	if *body.Temp > alertOver {
		return r.writer.WriteMessages(ctx, record(alerts, &e))
	}
	return nil
}
