//! The tokens of this process: a bounded number of sources, each asked by one task at a time.
//!
//! Who asks waits no longer than its own deadline; the task that fetches goes on beyond that, up to
//! [`FETCH_TIMEOUT`], so that what it gets is there for the next.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use http::header::RETRY_AFTER;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper_util::client::legacy;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::error::{TokenError, TokenFailure};
use super::response::{self, Granted, RESPONSE_LIMIT};
use super::source::{Answer, Bearer, FIRST_DELAY, Source};
use super::{Client, FETCH_TIMEOUT, Key, request};
use crate::connector::Connector;
use crate::payload::Payload;
use crate::sender;
use crate::verdict::{self, Failure};

/// How many sources are kept. Beyond that a tenth is forgotten, of those that were not asked for
/// longest: they ask anew.
const MOST_SOURCES: usize = 10_000;

/// The HTTP client of token requests.
pub type Http = legacy::Client<Connector, Payload>;

/// The one cache of this process. Cheap to clone.
#[derive(Clone)]
pub struct Tokens(Arc<Shared>);

struct Shared {
    http: Http,
    sources: Mutex<HashMap<Key, Kept>>,
    fetching: Mutex<JoinSet<()>>,
}

struct Kept {
    source: Arc<watch::Sender<Source>>,
    asked_at: Instant,
}

/// No token is to be had now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Postponed {
    /// When to ask again.
    pub after: Duration,
    pub failure: TokenFailure,
}

/// What comes of a token that a receiver refused.
#[derive(Debug)]
pub enum Renewal {
    /// Another.
    Token(Bearer),
    /// Nothing, for now: one was fetched a moment ago for the same reason.
    Stands,
}

impl Tokens {
    /// None yet; requests go out by `http`.
    pub fn new(http: Http) -> Self {
        Self(Arc::new(Shared {
            http,
            sources: Mutex::default(),
            fetching: Mutex::default(),
        }))
    }

    /// A token of that client.
    ///
    /// # Errors
    /// That there is none by the deadline, or that its token endpoint fails.
    pub async fn token(&self, client: &Client, deadline: Instant) -> Result<Bearer, Postponed> {
        let asked = |source: &mut Source| source.ask(Instant::now());
        match self.settled(client, deadline, asked).await? {
            Renewal::Token(bearer) => Ok(bearer),
            Renewal::Stands => unreachable!("nothing was refused"),
        }
    }

    /// Another than that, which a receiver refused.
    ///
    /// # Errors
    /// As of [`Tokens::token`].
    pub async fn renewed(
        &self,
        client: &Client,
        refused: &Bearer,
        deadline: Instant,
    ) -> Result<Renewal, Postponed> {
        let asked = |source: &mut Source| source.refused(refused, Instant::now());
        self.settled(client, deadline, asked).await
    }

    /// One that is fetched for this, whatever is held. It is not kept.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn fetch(&self, client: &Client) -> Result<Granted, TokenError> {
        fetch(&self.0.http, client).await
    }

    /// Asks until there is an answer that needs no waiting.
    async fn settled(
        &self,
        client: &Client,
        deadline: Instant,
        mut asked: impl FnMut(&mut Source) -> Answer,
    ) -> Result<Renewal, Postponed> {
        let source = self.source(client);
        loop {
            match answer(&source, &mut asked) {
                Answer::Use(bearer) => return Ok(Renewal::Token(bearer)),
                Answer::Renew(bearer) => {
                    self.begin(client, &source);
                    return Ok(Renewal::Token(bearer));
                }
                Answer::Stand => return Ok(Renewal::Stands),
                Answer::Postpone(after, failure) => return Err(Postponed { after, failure }),
                Answer::Fetch => self.begin(client, &source),
                Answer::Wait => {}
            }
            let mut ended = source.subscribe();
            let waiting = ended.wait_for(|source| !source.is_fetching());
            if timeout_at(deadline, waiting).await.is_err() {
                let failure = TokenFailure::Unavailable;
                return Err(Postponed {
                    after: FIRST_DELAY,
                    failure,
                });
            }
        }
    }

    fn begin(&self, client: &Client, source: &Arc<watch::Sender<Source>>) {
        let (http, client) = (self.0.http.clone(), client.clone());
        let under_way = Fetch::begin(source.clone());
        let mut fetching = lock(&self.0.fetching);
        while fetching.try_join_next().is_some() {}
        fetching.spawn(async move {
            let result = fetch(&http, &client).await;
            if let Err(error) = &result {
                tracing::warn!(?client, "{error}");
            }
            under_way.end(result);
        });
    }

    fn source(&self, client: &Client) -> Arc<watch::Sender<Source>> {
        let mut sources = lock(&self.0.sources);
        if sources.len() >= MOST_SOURCES && !sources.contains_key(&client.0.key) {
            forget(&mut sources);
        }
        let asked_at = Instant::now();
        let kept = sources.entry(client.0.key).or_insert_with(|| Kept {
            source: Arc::default(),
            asked_at,
        });
        kept.asked_at = asked_at;
        kept.source.clone()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

/// Nobody is notified: who waits does so for the end of a request.
fn answer(source: &watch::Sender<Source>, asked: &mut impl FnMut(&mut Source) -> Answer) -> Answer {
    let mut answer = Answer::Wait;
    source.send_if_modified(|source| {
        answer = asked(source);
        false
    });
    answer
}

/// A request under way. However its task ends, the source hears of it.
struct Fetch {
    source: Arc<watch::Sender<Source>>,
    began_at: Instant,
    result: Option<Result<Granted, TokenError>>,
}

impl Fetch {
    fn begin(source: Arc<watch::Sender<Source>>) -> Self {
        Self {
            source,
            began_at: Instant::now(),
            result: None,
        }
    }

    fn end(mut self, result: Result<Granted, TokenError>) {
        self.result = Some(result);
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        let result = self.result.take().unwrap_or(Err(TokenError::TimedOut));
        let jitter = rand::random();
        self.source
            .send_modify(|source| source.fetched(result, self.began_at, Instant::now(), jitter));
    }
}

fn forget(sources: &mut HashMap<Key, Kept>) {
    let mut times: Vec<Instant> = sources.values().map(|kept| kept.asked_at).collect();
    times.sort_unstable();
    let Some(oldest_kept) = times.get(times.len() / 10).copied() else {
        return;
    };
    sources.retain(|_, kept| kept.asked_at > oldest_kept);
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn fetch(http: &Http, client: &Client) -> Result<Granted, TokenError> {
    let deadline = Instant::now() + FETCH_TIMEOUT;
    let exchange = timeout_at(deadline, exchange(http, client)).await;
    exchange.unwrap_or(Err(TokenError::TimedOut))
}

async fn exchange(http: &Http, client: &Client) -> Result<Granted, TokenError> {
    let request = request::of(client, Utc::now())?;
    let response = http.request(request).await;
    let (head, body) = response
        .map_err(|error| TokenError::Unreachable(sender::failure::of(&error)))?
        .into_parts();
    let body = Limited::new(body, RESPONSE_LIMIT).collect().await;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            TokenError::TooLarge
        } else {
            TokenError::Unreachable(Failure::Reset)
        }
    })?;
    let retry_after = head.headers.get(RETRY_AFTER);
    let retry_after = retry_after.and_then(|header| header.to_str().ok());
    let retry_after = retry_after.and_then(|text| verdict::retry_after(text, Utc::now()));
    response::read(head.status, retry_after, &body.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn of_too_many_sources_those_that_were_not_asked_for_longest_are_forgotten() {
        let mut sources = HashMap::new();
        for n in 0..100 {
            tokio::time::advance(Duration::from_millis(1)).await;
            let kept = Kept {
                source: Arc::default(),
                asked_at: Instant::now(),
            };
            sources.insert([n; 32], kept);
        }
        forget(&mut sources);
        assert_eq!(sources.len(), 89);
        assert!(!sources.contains_key(&[10; 32]) && sources.contains_key(&[11; 32]));
    }
}
