//! Messages between the processes that share a database, by NOTIFY and LISTEN.
//!
//! Best effort: messages are lost while a listener is not connected, and none are stored. Receivers must not depend on them.

use std::{io, time::Duration};

use sqlx::{
    ConnectOptions as _, Executor as _,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::time::timeout;

use super::{parse, time_limits::ACQUIRE_TIMEOUT};
use crate::database::{driver::DbPool, error::OpenError, postgres::READ_TIMEOUT, readers::Readers};

const CHANNEL: &str = "triptych";

/// A listener that received nothing for so long asks the server for a response: the network may have lost the connection.
const SILENCE: Duration = Duration::from_secs(30);

/// The sender and the listeners of messages to all processes of one database.
#[derive(Debug, Clone)]
pub(crate) struct Notifications {
    pool: DbPool,
    listener: PgConnectOptions,
}

impl Notifications {
    /// Returns the notifications of the database of this pool. Listeners connect to the URL, without a pooler in between that assigns
    /// another session to each transaction.
    pub(in crate::database) fn new(pool: DbPool, url: &str) -> Result<Self, OpenError> {
        Ok(Self { pool, listener: PgConnectOptions::from_url(&parse(url)?)? })
    }

    /// Sends a message of less than 8,000 bytes to all listeners, also to those of this process. Not within the transaction of a write:
    /// commits that notify wait for each other on the whole server.
    pub(crate) async fn send(&self, message: &str) -> Result<(), sqlx::Error> {
        // The function returns `void`, which is no type of the driver.
        let query = sqlx::query("SELECT COUNT(*) FROM pg_notify($1, $2)").bind(CHANNEL).bind(message);
        query.fetch_one(Readers::new(&self.pool, Some(READ_TIMEOUT))).await?;
        Ok(())
    }

    /// Connects a listener, on a connection of its own. It receives what is sent after this has returned.
    pub(crate) async fn listen(&self) -> Result<Listener, sqlx::Error> {
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE_TIMEOUT);
        let pool = pool.idle_timeout(None).max_lifetime(None).connect_with(self.listener.clone()).await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.ignore_pool_close_event(true);
        listener.listen(CHANNEL).await?;
        Ok(Listener(listener))
    }
}

/// A connection that receives messages.
#[derive(Debug)]
pub(crate) struct Listener(PgListener);

impl Listener {
    /// Waits for the next message. `None`: messages may have been missed, because the connection was lost and opened again, or may have
    /// been.
    ///
    /// # Errors
    /// The server cannot be reached. The listener must be replaced.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, sqlx::Error> {
        if let Ok(received) = timeout(SILENCE, self.0.try_recv()).await {
            return Ok(received?.map(|notification| notification.payload().to_owned()));
        }
        // The statement opens a lost connection again, without telling so.
        let late = |_| sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database server does not answer"));
        timeout(ACQUIRE_TIMEOUT, self.0.execute("SELECT 1")).await.map_err(late)??;
        Ok(None)
    }
}
