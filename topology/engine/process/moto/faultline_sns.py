"""Makes moto answer what is asked of SNS and SQS at once: what is made, changed and listed walks over
what another request is about to change, and the server then answers 500. One does so at a time.
"""

import threading

from faultline_lock import one_at_a_time

try:
    from moto.sns.models import SNSBackend
    from moto.sqs.models import SQSBackend
except ImportError:  # another Python's start
    SNSBackend = None

lock = threading.RLock()


if SNSBackend is not None:
    one_at_a_time(
        lock, SNSBackend, "create_topic", "delete_topic", "get_topic", "list_topics", "subscribe",
        "unsubscribe", "list_subscriptions", "list_subscriptions_by_topic", "set_topic_attribute",
        "set_subscription_attributes", "get_subscription_attributes",
    )
    one_at_a_time(
        lock, SQSBackend, "create_queue", "delete_queue", "list_queues", "set_queue_attributes",
        "tag_queue",
    )
