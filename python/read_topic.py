#!/usr/bin/env python3
"""Reads a ledger's topic with a plain Kafka consumer: no code of promotion-ledger is needed.

    pip install confluent-kafka
    python read_topic.py --bootstrap 127.0.0.1:9092 --topic promotion-ledger

Prints one line of JSON for each offset up to the end of the topic: the model (topic key), the CloudEvents headers,
and the event digest, SHA-256 of the body, which is what a registry points to. What an offset *means* (accepted,
duplicate, refused) only the ledger says: ask a node, or `promotion-ledger tail`.
"""
import argparse
import hashlib
import json
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def body(record):
    """Field 4 of the SignedRecord (proto/promotion/v1/record.proto); None if this is none."""
    at, found = 0, None
    try:
        while at < len(record):
            tag, at = varint(record, at)
            if tag & 7 == 0:
                _, at = varint(record, at)
            elif tag & 7 == 2:
                length, at = varint(record, at)
                if tag >> 3 == 4:
                    found = record[at:at + length]
                at += length
            else:
                return None
    except IndexError:
        return None
    return found


def line(message):
    value = message.value() or b""
    event = body(value)
    headers = {name: text.decode("utf-8", "replace") for name, text in message.headers() or [] if text is not None}
    return {
        "offset": message.offset(),
        "model": (message.key() or b"").decode("utf-8", "replace"),
        "bytes": len(value),
        "event_digest": hashlib.sha256(event).hexdigest() if event is not None else None,
        "headers": headers,
    }


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--bootstrap", required=True, help="brokers, HOST:PORT")
    arguments.add_argument("--topic", required=True)
    given = arguments.parse_args()
    consumer = Consumer({
        "bootstrap.servers": given.bootstrap,
        "group.id": "read-topic",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        # The ledger counts every offset, those of transactions that were aborted too.
        "isolation.level": "read_uncommitted",
    })
    # One partition: the ledger's order is the topic's order.
    consumer.assign([TopicPartition(given.topic, 0, OFFSET_BEGINNING)])
    try:
        while True:
            message = consumer.poll(30)
            if message is None:
                sys.exit("no answer from the broker within 30 s")
            if message.error() is None:
                print(json.dumps(line(message), sort_keys=True))
            elif message.error().code() == KafkaError._PARTITION_EOF:
                return
            else:
                sys.exit(f"{given.topic}: {message.error()}")
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
