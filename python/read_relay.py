#!/usr/bin/env python3
"""Reads a relay's output topic with a plain Kafka consumer: accepted entries, each once, in order.

    pip install confluent-kafka
    python read_relay.py --bootstrap 127.0.0.1:9092 --topic promotions-accepted [--cursor FILE] [--follow]

Prints one line of JSON for each event. With --cursor the position is kept in a file, moved after a line was printed: start
it again and it goes on from there. Three things make it exactly once, and every consumer needs them:

- isolation.level=read_committed: a relay publishes in transactions, and a batch that was cut off is not seen;
- the position is the consumer's own (here a file; better in the transaction that keeps what you made of the event);
- an event's (ce_source, ce_id) is unique, should your own bookkeeping ever be in doubt.

What is in an event, header by header: `promotion-ledger relay --help` and README.md.
"""
import argparse
import json
import os
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition


def line(message):
    headers = {name: (text or b"").decode("utf-8", "replace") for name, text in message.headers() or []}
    event = {name[3:]: text for name, text in headers.items() if name.startswith("ce_")}
    event["model"] = (message.key() or b"").decode("utf-8", "replace")
    # The sequence is the entry's number in the ledger; numbers that are not there were duplicates and refusals.
    event["seq"] = int(event["sequence"])
    if headers.get("content-type") == "application/json":
        event["data"] = json.loads(message.value())
    else:
        event["data_base16"] = message.value().hex()
    return event


def read_cursor(path):
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except FileNotFoundError:
        return OFFSET_BEGINNING


def keep_cursor(path, offset):
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(str(offset))
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--bootstrap", required=True, help="brokers, HOST:PORT")
    arguments.add_argument("--topic", required=True)
    arguments.add_argument("--cursor", help="file that keeps the position")
    arguments.add_argument("--follow", action="store_true", help="wait for new events")
    given = arguments.parse_args()
    consumer = Consumer({
        "bootstrap.servers": given.bootstrap,
        "group.id": "read-relay",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
    })
    start = read_cursor(given.cursor) if given.cursor else OFFSET_BEGINNING
    consumer.assign([TopicPartition(given.topic, 0, start)])
    try:
        while True:
            message = consumer.poll(30)
            if message is None:
                if not given.follow:
                    sys.exit("no answer from the broker within 30 s")
            elif message.error() is None:
                print(json.dumps(line(message), sort_keys=True), flush=True)
                if given.cursor:
                    keep_cursor(given.cursor, message.offset() + 1)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                if not given.follow:
                    return
            else:
                sys.exit(f"{given.topic}: {message.error()}")
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
