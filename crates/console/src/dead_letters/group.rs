//! One group of dead letters, with the letters of it that came first.

use askama::Template;
use axum::response::Response;

use super::{Asked, Group, groups};
use crate::answers::{DeadLetter, Page};
use crate::failed::Failed;
use crate::frame::{Frame, page};
use crate::visitor::Visitor;

/// How many letters are shown.
const SHOWN: i64 = 100;

#[derive(Template)]
#[template(path = "dead_letter_group.html")]
struct One {
    frame: Frame,
    asked: Asked,
    /// `None`: there is none any more.
    group: Option<Group>,
    letters: Vec<DeadLetter>,
}

/// The page of the group that is asked for.
pub async fn show(visitor: Visitor, asked: Asked) -> Result<Response, Failed> {
    let of = asked.at("/dlqs/groups", []);
    let limit = SHOWN.to_string();
    let letters = asked.at("/dlqs", [("limit", &*limit)]);
    let (found, letters) = tokio::join!(
        groups(&visitor, &of),
        visitor.get::<Page<DeadLetter>>(&letters),
    );
    Ok(page(&One {
        frame: visitor.frame("Dead letters"),
        group: found?.pop(),
        letters: letters?.items,
        asked,
    }))
}
