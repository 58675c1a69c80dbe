"""A worker of one's own in the place of worker1 of the iot-platform.

It takes events from a Kafka topic, posts each to an HTTP service and sets aside what cannot be
posted. It knows nothing of Faultline but the environment:

    KAFKA_BROKERS, STREAM_GROUP   where events come from, and the group to take them in
    DATA_API_URL                  where they are posted
    ON_FAILURE                    dead-letter (default), or drop: the bug that it once had, when what
                                  could not be posted was logged and forgotten
"""

import http.client
import logging
import os
import random
import signal
import time
import urllib.parse
from datetime import datetime, timezone

from kafka import KafkaConsumer, KafkaProducer

TOPIC, DEAD = "events", "events.dead"
ATTEMPTS = 4
FIRST_PAUSE, LONGEST_PAUSE, JITTER = 0.05, 1.0, 0.2  # seconds, and a share
TIMEOUT = 1.0  # seconds, for one post

log = logging.getLogger("worker")


class Refused(Exception):
    """An answer that is not what was hoped for."""

    def __init__(self, status):
        super().__init__(f"answered {status}")
        self.status = status
        self.permanent = 400 <= status < 500 and status != 429
        self.reason = "429" if status == 429 else f"{status // 100}xx"


class Api:
    """One kept connection to the service that events are posted to."""

    def __init__(self, url):
        self.host = urllib.parse.urlsplit(url).netloc
        self.connection = None

    def post(self, event):
        """Posts an event once, with its CloudEvents attributes and its trace."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.host, timeout=TIMEOUT)
        headers = {name: urllib.parse.quote(value, safe="!#$&'()*+,/:;=?@[]-._~|{}^`<>\\")
                   for name, value in attributes(event)}
        try:
            self.connection.request("POST", "/records", body=event.value, headers=headers)
            answer = self.connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            raise
        if answer.status >= 300:
            raise Refused(answer.status)


def attributes(event):
    """The headers of an event as HTTP names them."""
    for name, value in event.headers:
        yield name.replace("ce_", "ce-", 1), value.decode()


def post_patiently(api, event):
    """Posts an event; returns the attempts made and the error that was the last, or None."""
    pause = FIRST_PAUSE
    for attempt in range(1, ATTEMPTS + 1):
        try:
            api.post(event)
            return attempt, None
        except (OSError, http.client.HTTPException, Refused) as error:
            if attempt == ATTEMPTS or getattr(error, "permanent", False):
                return attempt, error
        time.sleep(pause * random.uniform(1 - JITTER, 1 + JITTER))
        pause = min(2 * pause, LONGEST_PAUSE)


def set_aside(producer, event, attempts, error, first):
    """Writes an event to the dead-letter topic, with what happened to it."""
    told = urllib.parse.urlencode({
        "reason": getattr(error, "reason", type(error).__name__),
        "attempts": attempts,
        "firstfailure": first.isoformat(),
        "lastfailure": datetime.now(timezone.utc).isoformat(),
    })
    headers = [(name, value) for name, value in event.headers if name != "ce_headers"]
    headers.append(("ce_headers", told.encode()))
    producer.send(DEAD, key=event.key, value=event.value, headers=headers).get(timeout=10)


def handle(api, producer, event, drops):
    """Posts one event or sets it aside; when it returns the event is done with."""
    first = datetime.now(timezone.utc)
    attempts, error = post_patiently(api, event)
    if error is None:
        return
    log.warning("%d/%d failed after %d attempts: %s", event.partition, event.offset, attempts,
                error)
    if drops:
        return  # the bug: nobody will ever hear of it again
    set_aside(producer, event, attempts, error, first)


def main():
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    stopping = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.append(True))
    brokers = os.environ["KAFKA_BROKERS"].split(",")
    api = Api(os.environ["DATA_API_URL"])
    drops = os.environ.get("ON_FAILURE", "dead-letter") == "drop"
    producer = KafkaProducer(bootstrap_servers=brokers, acks="all", retries=5)
    consumer = KafkaConsumer(
        TOPIC, bootstrap_servers=brokers, group_id=os.environ["STREAM_GROUP"],
        auto_offset_reset="earliest", enable_auto_commit=False, max_poll_records=20,
        session_timeout_ms=6000, heartbeat_interval_ms=500, fetch_max_wait_ms=200)
    print("taking", TOPIC, "as", os.environ["STREAM_GROUP"])
    while not stopping:
        for events in consumer.poll(timeout_ms=200).values():
            for event in events:
                handle(api, producer, event, drops)
        consumer.commit()
    consumer.close()
    producer.close()


if __name__ == "__main__":
    main()
