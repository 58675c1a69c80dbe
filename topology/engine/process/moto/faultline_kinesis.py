"""Makes moto's Kinesis and DynamoDB keep the promises of the real ones.

What moto 5.2 does otherwise, and what it would cost here:

  * Two puts into one shard at once get one sequence number, and one of the records is gone though
    both were answered: 19 of 12,000 with eight producers.
  * Two conditional writes to one row at once may both succeed: 3 of 150 with eight writers. A shard
    then has two holders until the next look.
  * A put walks over all records of the shard for its number, a read over all it has read before.
  * A shard that was split or merged stays the one its keys go to and never ends; its children stay
    empty, or hold copies of what was in it.
  * Each request, of any service, lists moto's folder for the names of its services: 2 of its 3 ms.
  * An answer says that nothing is behind it when the rest was written in the same millisecond.

Source: Amazon Kinesis Data Streams Developer Guide, "Reshard a stream"; API reference, GetRecords.
"""

import functools
import json
import threading
from operator import attrgetter

from faultline_lock import one_at_a_time

try:
    from moto import backends
    from moto.core import responses
    from moto.dynamodb.models import DynamoDBBackend
    from moto.dynamodb.responses import DynamoHandler
    from moto.kinesis import models as kinesis
    from moto.kinesis.utils import compose_shard_iterator, decompose_shard_iterator
except ImportError:  # another Python's start
    kinesis = None

lock = threading.RLock()


def put(shard, partition_key, data, explicit_hash_key):
    number = len(shard.records) + 1
    shard.records[number] = kinesis.Record(partition_key, data, number, explicit_hash_key)
    return str(number)


def get(shard, last, limit):
    """Numbers are dense from 1, so what is behind one needs no search."""
    first, end = int(last) + 1, len(shard.records)
    upto = min(end, first - 1 + (limit or 10000))
    found = [shard.records[n] for n in range(first, upto + 1)]
    behind = 0
    if upto < end:
        age = shard.records[end].created_at - shard.records[upto].created_at
        behind = max(1, int(age * 1000))
    return found, max(upto, int(last)), behind


def get_records(self, stream_arn, shard_iterator, limit):
    name, shard_id, last = decompose_shard_iterator(shard_iterator)
    stream = self.describe_stream(stream_arn=stream_arn, stream_name=name)
    shard = stream.get_shard(shard_id)
    records, last, behind = get(shard, last, limit)
    if not shard.is_open and last >= len(shard.records):
        return None, records, behind
    return compose_shard_iterator(name, shard, last), records, behind


def shard_for_key(self, partition_key, explicit_hash_key):
    if len(partition_key) > 256:
        raise kinesis.InvalidArgumentError("partition_key")
    key = explicit_hash_key or kinesis.md5_hash(partition_key.encode()).hexdigest()
    number = int(key, 10 if explicit_hash_key else 16)
    for shard in self.shards.values():
        if shard.is_open and shard.starting_hash <= number <= shard.ending_hash:
            return shard
    return None


def open_shard(self, shard_id):
    shard = self.shards[shard_id]
    if not shard.is_open:
        raise kinesis.InvalidArgumentError(message=f"Shard {shard_id} is not open.")
    return shard


def add_shard(self, first, last, parent, adjacent=None):
    number = max(self.shards.values(), key=attrgetter("_shard_id"))._shard_id + 1
    child = kinesis.Shard(number, first, last, parent=parent, adjacent_parent=adjacent)
    self.shards[child.shard_id] = child


def split_shard(self, shard_to_split, new_starting_hash_key):
    shard, at = open_shard(self, shard_to_split), int(new_starting_hash_key)
    if not shard.starting_hash < at < shard.ending_hash:
        raise kinesis.InvalidArgumentError(message=f"NewStartingHashKey {at} is out of range.")
    shard.is_open = False
    add_shard(self, shard.starting_hash, at - 1, shard.shard_id)
    add_shard(self, at, shard.ending_hash, shard.shard_id)


def merge_shards(self, shard_to_merge, adjacent_shard_to_merge):
    one, other = open_shard(self, shard_to_merge), open_shard(self, adjacent_shard_to_merge)
    low, high = sorted([one, other], key=attrgetter("starting_hash"))
    if low.ending_hash + 1 != high.starting_hash:
        raise kinesis.InvalidArgumentError(message="The shards are not adjacent.")
    one.is_open = other.is_open = False
    add_shard(self, low.starting_hash, high.ending_hash, one.shard_id, other.shard_id)


def as_json(cls, name):
    """Writes an answer that is of JSON's types, or knows how to be, without a look at its model."""
    plain = getattr(cls, name)

    def written(self):
        answer = plain(self)
        if isinstance(answer, str):  # moto 5.1 has written it already
            return answer
        return json.dumps(answer.result, default=lambda value: value.to_json())

    setattr(cls, name, functools.wraps(plain)(written))


if kinesis is not None:
    services = frozenset(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: services
    responses.method_names_from_class = functools.cache(responses.method_names_from_class)
    as_json(DynamoHandler, "scan")
    kinesis.Shard.put_record = put
    kinesis.Shard.get_max_sequence_number = lambda shard: len(shard.records)
    kinesis.Shard.get_min_sequence_number = lambda shard: min(1, len(shard.records))
    kinesis.Stream.get_shard_for_key = shard_for_key
    kinesis.Stream.split_shard = split_shard
    kinesis.Stream.merge_shards = merge_shards
    kinesis.KinesisBackend.get_records = get_records
    one_at_a_time(
        lock, kinesis.KinesisBackend, "create_stream", "put_record", "put_records", "get_records",
        "list_shards", "split_shard", "merge_shards", "get_shard_iterator",
    )
    one_at_a_time(
        lock, DynamoDBBackend, "create_table", "update_item", "delete_item", "put_item", "scan",
    )
