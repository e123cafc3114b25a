"""Event in, result out: no Kafka, no FITS, no clock."""
