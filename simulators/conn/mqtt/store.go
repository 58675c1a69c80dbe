package mqtt

import "github.com/eclipse/paho.mqtt.golang/packets"

// forgetful is paho's store of messages on their way; the outbox keeps them instead, and paho
// resends nothing.
type forgetful struct{}

func (forgetful) Open()                             {}
func (forgetful) Put(string, packets.ControlPacket) {}
func (forgetful) Get(string) packets.ControlPacket  { return nil }
func (forgetful) All() []string                     { return nil }
func (forgetful) Del(string)                        {}
func (forgetful) Close()                            {}
func (forgetful) Reset()                            {}
