//! The console before an API that answers whatever is worst.

mod answers;
mod dead_letters;
mod fake;
mod forgery;
mod pages;
mod sessions;
