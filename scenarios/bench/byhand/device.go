package byhand

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/sync/errgroup"
)

const (
	qos         = 1
	keepAlive   = 30 * time.Second
	sayGoodbye  = 100 // ms
	deviceQueue = 4096
)

// device is one sender of telemetry.
type device struct {
	id     string
	client mqtt.Client
	queue  chan order
	failed func(error)
	rand   *rand.Rand // of the sending goroutine
	seq    int64
	done   sync.WaitGroup
}

// order is one message that is to be sent.
type order struct {
	number   int64
	intended time.Time
}

func (p *Pipeline) startDevices(ctx, _ context.Context, cfg Config) error {
	p.devices = make([]*device, cfg.Devices)
	all, _ := errgroup.WithContext(ctx)
	all.SetLimit(64)
	for i := range p.devices {
		d := &device{
			id: "hw-" + strconv.Itoa(i), queue: make(chan order, deviceQueue), failed: cfg.Failed,
			rand: rand.New(rand.NewPCG(1, uint64(i))),
		}
		d.client = mqtt.NewClient(clientOptions(cfg.MQTT, d.id))
		d.done.Go(d.work)
		p.devices[i] = d
		all.Go(func() error { return wrap("connect "+d.id, connect(d.client)) })
	}
	return all.Wait()
}

func clientOptions(address, client string) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().
		AddBroker("tcp://" + address).
		SetClientID(client).
		SetCleanSession(false).
		SetKeepAlive(keepAlive).
		SetAutoAckDisabled(true)
}

func connect(c mqtt.Client) error {
	token := c.Connect()
	token.Wait()
	return token.Error()
}

func (d *device) send(number int64, intended time.Time) { d.queue <- order{number, intended} }

// work sends what is asked for, each message when the one before it is acknowledged.
func (d *device) work() {
	for o := range d.queue {
		if err := d.publish(o); err != nil {
			d.failed(fmt.Errorf("send telemetry-%d: %w", o.number, err))
		}
	}
}

func (d *device) publish(o order) error {
	temp := 40 + 5*d.rand.NormFloat64()
	data, err := json.Marshal(reading{At: o.intended, Device: d.id, Seq: d.seq, Temp: &temp})
	if err != nil {
		return err
	}
	body, err := json.Marshal(event{
		SpecVersion: "1.0", ID: "telemetry-" + strconv.FormatInt(o.number, 10),
		Type: "faultline.telemetry", Source: "device.hw/" + d.id, Subject: d.id, Time: o.intended,
		ContentType: jsonType, TraceParent: traceParent(o.number), PartitionKey: d.id,
		Sequence: fmt.Sprintf("%020d", d.seq), Data: data,
	})
	if err != nil {
		return err
	}
	d.seq++
	token := d.client.Publish("telemetry/"+d.id, qos, false, body)
	token.Wait()
	return token.Error()
}

func traceParent(number int64) string {
	return fmt.Sprintf("00-%032x-%016x-01", number+1, number+1)
}

func (d *device) close() {
	close(d.queue)
	d.client.Disconnect(sayGoodbye)
	d.done.Wait()
}
