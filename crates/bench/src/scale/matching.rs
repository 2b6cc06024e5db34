//! What an event costs that a few want, among many that do not.

use serde::Serialize;

use super::scene::{Backlog, Scene};
use super::{Measured, Scale};

/// Among so many.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Matching {
    /// How many subscriptions want none of the events.
    pub others: u32,
    /// What getting through them takes.
    pub backlog: Measured<Backlog>,
}

impl Scale {
    /// Measures it among none, a tenth and all. Subscriptions are looked at every half minute,
    /// which is no part of matching: the events are published right after that was done.
    ///
    /// # Errors
    /// That it could not be run.
    pub async fn matching(&self) -> anyhow::Result<Vec<Matching>> {
        let mut measured = Vec::new();
        for others in self.sizes.idle() {
            println!("    {} events, {others} others", self.sizes.events);
            let mut scene = Scene::new(self).await?;
            scene.add_idle(others).await?;
            scene.add_wanting().await?;
            let name = format!("matching-{others}");
            scene.start(self, &name, 1).await?;
            scene.until_at_rest().await?;
            let backlog = scene.drain(self.sizes.events).await?;
            scene.end().await?;
            measured.push(Matching { others, backlog });
        }
        Ok(measured)
    }
}
