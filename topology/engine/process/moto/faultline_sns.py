"""Makes moto answer what is asked of SNS and SQS at once: what is made, changed and listed walks over
what another request is about to change, and the server then answers 500. One does so at a time.
"""

import functools
import threading

try:
    from moto.sns.models import SNSBackend
    from moto.sqs.models import SQSBackend
except ImportError:  # another Python's start
    SNSBackend = None

lock = threading.RLock()


def one_at_a_time(cls, *names):
    for name in names:
        plain = getattr(cls, name)

        def locked(*args, _plain=plain, **kwargs):
            with lock:
                return _plain(*args, **kwargs)

        setattr(cls, name, functools.wraps(plain)(locked))


if SNSBackend is not None:
    one_at_a_time(
        SNSBackend, "create_topic", "delete_topic", "get_topic", "list_topics", "subscribe",
        "unsubscribe", "list_subscriptions", "list_subscriptions_by_topic", "set_topic_attribute",
        "set_subscription_attributes", "get_subscription_attributes",
    )
    one_at_a_time(
        SQSBackend, "create_queue", "delete_queue", "list_queues", "set_queue_attributes",
        "tag_queue",
    )
