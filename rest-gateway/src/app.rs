//! What every handler is handed.

use std::{ops::Deref, sync::Arc};

use crate::{core::Core, meters::Meters, routes::ROUTES, settings::Settings};

/// The core and the settings, shared by all handlers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App(Arc<Shared>);

/// What [`App`] gives access to.
#[derive(Debug)]
pub struct Shared {
    /// The way to the core.
    pub core: Core,
    /// What the operator set.
    pub settings: Settings,
    pub(crate) meters: Meters,
}

impl App {
    /// Handlers that ask this core under these settings.
    pub fn new(core: Core, settings: Settings) -> Self {
        let meters = Meters::new(ROUTES.iter().map(|route| route.path));
        Self(Arc::new(Shared { core, settings, meters }))
    }
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
