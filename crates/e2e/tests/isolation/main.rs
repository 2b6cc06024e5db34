//! The promises of isolation, each as a test with the real programs.

#![allow(
    clippy::unwrap_used,
    reason = "the whole crate is tests, whose helpers clippy does not know as such"
)]

mod detached;
mod limits;
mod million;

mod one;
mod operations;
mod ordering;
mod pausing;
mod policies;
mod replays;
mod retention;
mod two;
