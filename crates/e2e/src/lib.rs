//! Tests of the whole system: the real programs against the real Kafka and Postgres, killed while
//! load runs. There is nothing here but `tests/`.
