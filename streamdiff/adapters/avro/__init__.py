"""Avro: schemas, the wire format, events and alerts."""
