//! The ways in which a receiver is bad.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Nobody listens at its port.
    Refusing,
    /// It listens and never accepts: once its backlog is full, connecting gets no answer.
    BlackHole,
    /// It answers 200, and then a byte of the body a second.
    Drip,
    /// It answers 200 after 10 s, which is how long an attempt may take.
    Slow,
    /// It answers 500 at once.
    #[value(name = "500")]
    #[serde(rename = "500")]
    Http500,
    /// It answers 429 at once.
    #[value(name = "429")]
    #[serde(rename = "429")]
    Http429,
    /// It accepts, and resets the connection.
    Reset,
    /// Its URL says https, and its port speaks plain HTTP.
    BrokenTls,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Refusing,
        Self::BlackHole,
        Self::Drip,
        Self::Slow,
        Self::Http500,
        Self::Http429,
        Self::Reset,
        Self::BrokenTls,
    ];

    /// As the command line and the table name it.
    pub fn name(self) -> String {
        let named = self.to_possible_value();
        named.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}
