//! The same backlog for one replica and for several, which share the partitions.

use serde::Serialize;

use super::scene::{Backlog, Scene};
use super::{Measured, Scale};

/// So many.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Replicas {
    /// How many replicas there are.
    pub replicas: u32,
    /// What getting through the backlog takes all of them.
    pub backlog: Measured<Backlog>,
}

impl Scale {
    /// Measures it for each number of replicas.
    ///
    /// # Errors
    /// That it could not be run.
    pub async fn replicas(&self) -> anyhow::Result<Vec<Replicas>> {
        let mut measured = Vec::new();
        for &replicas in &self.sizes.replicas {
            println!("    {} events, {replicas} replicas", self.sizes.backlog);
            let mut scene = Scene::new(self).await?;
            scene.add_wanting().await?;
            let name = format!("replicas-{replicas}");
            scene.start(self, &name, replicas).await?;
            scene.until_at_rest().await?;
            let backlog = scene.drain(self.sizes.backlog).await?;
            scene.end().await?;
            measured.push(Replicas { replicas, backlog });
        }
        Ok(measured)
    }
}
