"""Lets moto throttle, as its services do: requests beyond a rate are answered with the service's own
error, and nothing of them is done.

POST /faultline/throttle?rate=50 sets the rate in requests a second, 0 takes it away. DynamoDB, which
has capacities of its own, is not throttled.
"""

import json
import threading
import time
from urllib.parse import parse_qs

try:
    from moto.moto_server import werkzeug_app
except ImportError:  # another Python's start
    werkzeug_app = None

CONTROL = "/faultline/throttle"

# What each service says, by the beginning of the header X-Amz-Target.
CODES = {
    "Kinesis_": "ProvisionedThroughputExceededException",
    "AmazonSQS.": "com.amazonaws.sqs#RequestThrottled",
}


class Bucket:
    """Holds a tenth of a second's requests."""

    def __init__(self):
        self.lock, self.rate, self.tokens, self.filled = threading.Lock(), 0.0, 0.0, 0.0

    def set(self, rate):
        with self.lock:
            self.rate, self.tokens, self.filled = rate, 0.0, time.monotonic()

    def take(self):
        with self.lock:
            if self.rate <= 0:
                return True
            now = time.monotonic()
            most = max(1.0, self.rate / 10)
            self.tokens = min(most, self.tokens + (now - self.filled) * self.rate)
            self.filled = now
            if self.tokens < 1:
                return False
            self.tokens -= 1
            return True


bucket = Bucket()


def refusal(target):
    """Status, type and text of an answer, or none for a service that is not throttled."""
    for prefix, code in CODES.items():
        if target.startswith(prefix):
            text = json.dumps({"__type": code, "message": "Rate exceeded"})
            return "application/x-amz-json-1.1", text
    if target:
        return None
    return "text/xml", (
        "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code>"
        "<Message>Rate exceeded</Message></Error><RequestId>none</RequestId></ErrorResponse>"
    )


def answer(environ, start_response, status, kind, text):
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = text.encode()
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def throttled(plain):
    def call(self, environ, start_response):
        if environ.get("PATH_INFO") == CONTROL:
            bucket.set(float(parse_qs(environ["QUERY_STRING"])["rate"][0]))
            return answer(environ, start_response, "200 OK", "text/plain", "")
        refused = refusal(environ.get("HTTP_X_AMZ_TARGET", ""))
        if refused and not bucket.take():
            return answer(environ, start_response, "400 Bad Request", *refused)
        return plain(self, environ, start_response)

    return call


if werkzeug_app is not None:
    application = werkzeug_app.DomainDispatcherApplication
    application.__call__ = throttled(application.__call__)
