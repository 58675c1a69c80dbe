"""Makes moto's SQS keep the promises of the real one.

What moto 5.2 does otherwise, and what it would cost here:

  * FIFO: a long poll goes by the groups that were locked when it began, so two consumers are given
    two messages of one group at once, and a group that was freed meanwhile waits for the next poll.
  * Two polls at once may be given the same message: nothing is locked between look and take.
  * A message that becomes visible again wakes no poll; they look once a second.
  * A deduplication id is forgotten with its message, rather than after five minutes.
  * Each answer closes its connection.
  * Each receive and each FIFO send walk over the queue dozens of times: 200 ms at 300 messages.

Source: Amazon SQS Developer Guide, "FIFO queue delivery logic", "Using the message deduplication
ID", "Visibility timeout", "Dead-letter queues".
"""

import copy
import hashlib
import time
import types

try:
    from moto.sqs import models
    from moto.sqs.exceptions import ReceiptHandleIsInvalid
    from werkzeug import serving
    from werkzeug.serving import WSGIRequestHandler
except ImportError:  # another Python's start
    models = None

FOREVER = float("inf")


def now_ms():
    return time.time() * 1000


def seen(queue):
    """What the queue keeps beside moto's own fields; made under the queue's lock."""
    if not hasattr(queue, "_seen_ids"):
        queue._seen_ids, queue._handles = {}, {}
    return queue._seen_ids, queue._handles


def append(queue, message):
    with queue._messages_lock:
        queue._messages.append(message)
        queue._messages_lock.notify_all()


def add_message(queue, message):
    with queue._messages_lock:
        ids, _ = seen(queue)
        if queue.fifo_queue:
            if queue.content_based_deduplication and not message.deduplication_id:
                message.deduplication_id = hashlib.sha256(message.body.encode()).hexdigest()
            now, window = now_ms(), models.DEDUPLICATION_TIME_IN_SECONDS * 1000
            if now - ids.get(message.deduplication_id, -FOREVER) < window:
                return
            ids[message.deduplication_id] = now
        append(queue, message)


def validate_message(
    self, queue, message_body, delay_seconds, deduplication_id=None, group_id=None,
    validate_group_id=True,
):
    if queue.fifo_queue:
        if group_id is None:
            raise models.MissingParameter("MessageGroupId")
        if not queue.content_based_deduplication and not deduplication_id:
            raise models.InvalidParameterValue(
                "The queue should either have ContentBasedDeduplication enabled or "
                "MessageDeduplicationId provided explicitly"
            )
        if delay_seconds > 0:
            raise models.InvalidParameterValue(
                f"Value {delay_seconds} for parameter DelaySeconds is invalid. Reason: "
                "The request include parameter that is not valid for this queue type."
            )
    if len(message_body.encode()) > queue.maximum_message_size:
        raise models.InvalidParameterValue(
            "One or more parameters are invalid. Reason: Message must be shorter than "
            f"{queue.maximum_message_size} bytes."
        )


def send_message(
    self, queue_name, message_body, message_attributes=None, delay_seconds=None, group_id=None,
    deduplication_id=None, system_attributes=None, validate_group_id=True,
):
    queue = self.get_queue(queue_name)
    validate_message(
        self, queue, message_body, int(delay_seconds or 0), deduplication_id, group_id
    )
    delay = queue.delay_seconds if delay_seconds is None else int(delay_seconds)
    if delay > models.MAXIMUM_MESSAGE_DELAY:
        raise models.InvalidParameterValue(
            f"Value {delay} for parameter DelaySeconds is invalid. "
            "Reason: DelaySeconds must be >= 0 and <= 900."
        )
    message = models.Message(str(models.random.uuid4()), message_body, system_attributes)
    message.deduplication_id, message.group_id = deduplication_id, group_id
    message.message_attributes = message_attributes or {}
    if queue.fifo_queue:
        message.sequence_number = f"{time.time_ns():020d}"
    message.mark_sent(delay_seconds=delay)
    queue.add_message(message)
    return message


def take(queue, count, visibility):
    """Up to count messages that may be delivered now, and when the next one may be."""
    now, taken, spent, wake = now_ms(), [], [], FOREVER
    _, handles = seen(queue)
    expired = now - queue.message_retention_period * 1000
    dead = queue.dead_letter_queue if queue.redrive_policy else None
    most = queue.redrive_policy["maxReceiveCount"] if dead is not None else FOREVER
    locked = set()
    if queue.fifo_queue:
        locked = {m.group_id for m in queue._messages if m.visible_at > now}
    for m in queue._messages:
        if m.sent_timestamp <= expired:
            spent.append(m)
            continue
        ready = max(m.visible_at, m.delayed_until)
        if ready > now:
            wake = min(wake, ready)
            continue
        if queue.fifo_queue and m.group_id in locked:
            continue
        if m.approximate_receive_count >= most:
            spent.append(m)
            append(dead, m)
            continue
        m.mark_received(visibility_timeout=visibility)
        handles[m.receipt_handle] = m
        taken.append(m)
        if len(taken) == count:
            break
    for m in spent:
        drop(queue, m)
    return taken, wake


def drop(queue, message):
    _, handles = seen(queue)
    queue._messages.remove(message)
    queue.deleted_messages.update(h for h in message.all_receipt_handles if h)
    for handle in message.all_receipt_handles:
        handles.pop(handle, None)


def receive_message(
    self, queue_name, count, wait_seconds_timeout, visibility_timeout, message_attribute_names=None
):
    queue = self.get_queue(queue_name)
    end = now_ms() + wait_seconds_timeout * 1000
    with queue._messages_lock:
        while True:
            taken, wake = take(queue, count, visibility_timeout)
            left = min(end, wake) - now_ms()
            if taken or end <= now_ms():
                break
            queue._messages_lock.wait(max(left, 0) / 1000 + 0.001)
        copies = [copy.copy(m) for m in taken]
    for c in copies:
        models._filter_message_attributes(c, message_attribute_names or [])
    return copies


def delete_message(queue, receipt_handle):
    with queue._messages_lock:
        _, handles = seen(queue)
        message = handles.get(receipt_handle)
        if message is None:
            if receipt_handle in queue.deleted_messages:
                return
            raise ReceiptHandleIsInvalid()
        drop(queue, message)
        queue._messages_lock.notify_all()


def change_message_visibility(self, queue_name, receipt_handle, visibility_timeout):
    queue = self.get_queue(queue_name)
    with queue._messages_lock:
        message = seen(queue)[1].get(receipt_handle)
        if message is None:
            raise ReceiptHandleIsInvalid()
        message.visible_at = now_ms() + int(visibility_timeout) * 1000
        queue._messages_lock.notify_all()


def send_header(handler, keyword, value):
    """A connection stays open behind its answer: moto reads each request to its end."""
    if (keyword.lower(), value.lower()) != ("connection", "close"):
        super(WSGIRequestHandler, handler).send_header(keyword, value)


class NothingLeft:
    """Stands in for the selector by which werkzeug looks for bytes that nobody has read."""

    def register(self, *_):
        pass

    def select(self, timeout=None):
        return []

    def close(self):
        pass


if models is not None:
    serving.selectors = types.SimpleNamespace(DefaultSelector=NothingLeft, EVENT_READ=1)
    WSGIRequestHandler.send_header = send_header
    WSGIRequestHandler.disable_nagle_algorithm = True
    models.Queue.add_message = add_message
    models.Queue.delete_message = delete_message
    models.SQSBackend._validate_message = validate_message
    models.SQSBackend.send_message = send_message
    models.SQSBackend.receive_message = receive_message
    models.SQSBackend.change_message_visibility = change_message_visibility
