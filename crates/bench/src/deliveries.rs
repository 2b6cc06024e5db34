//! How many deliveries a second the whole makes, what each costs, and how late they are: the real
//! processor, Kafka and Postgres, to a lean sink in a process of its own.
//!
//! A case has two parts. First the topic is filled, and the processor started: how fast it gets
//! through is the throughput. Then, at half of that, events are published on a timetable that
//! waits for nobody, which is what latency is worth something at. In the same run bare loops post
//! the same to the same sink: what the machine would do at most. A case in which a delivery is
//! missing has no other figure.

pub mod case;
pub mod ceiling;
pub mod costs;
pub mod drain;
pub mod figures;
pub mod goals;
pub mod measure;
pub mod sink;
pub mod sink_process;
pub mod table;
pub mod taken;
