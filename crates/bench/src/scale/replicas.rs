//! The same backlog for one replica and for several, which share the partitions; and for as many
//! processors that share nothing, to tell what sharing costs from what the machine does not have.

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
    /// What it takes as many, each with its part of it on a topic and a database of its own; nothing
    /// where there is one.
    pub apart: Option<Measured<Backlog>>,
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
            let scene = Scene::new(self).await?;
            let name = format!("replicas-{replicas}");
            let backlog = self.backlog(scene, &name, replicas).await?;
            let mut apart = None;
            if replicas > 1 {
                println!("    … and as many that share nothing");
                let scene = Scene::apart(self, replicas).await?;
                let name = format!("apart-{replicas}");
                apart = Some(self.backlog(scene, &name, 1).await?);
            }
            measured.push(Replicas {
                replicas,
                backlog,
                apart,
            });
        }
        Ok(measured)
    }

    async fn backlog(
        &self,
        mut scene: Scene,
        name: &str,
        replicas: u32,
    ) -> anyhow::Result<Measured<Backlog>> {
        scene.add_wanting().await?;
        scene.start(self, name, replicas).await?;
        scene.until_at_rest().await?;
        let backlog = scene.drain(self.sizes.backlog).await?;
        scene.end().await?;
        Ok(backlog)
    }
}
