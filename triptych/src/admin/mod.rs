//! `triptych admin`: what an administrator does on the command line, over the gRPC API of a server.

pub(crate) mod arguments;
mod connection;
mod keys;
mod verify;

use std::path::Path;

use anyhow::Context as _;

use self::arguments::{Admin, Keys, Verify};
use crate::config::Config;

/// Runs a command.
///
/// # Errors
/// The server cannot be reached or refuses the command; the ledger is not consistent.
pub(crate) fn run(admin: &Admin, config: Option<&Path>) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let load = || Config::load(config);
    let result = runtime.block_on(async {
        match admin {
            Admin::Verify(Verify { offline: true, .. }) => verify::offline(&load()?).await,
            Admin::Verify(Verify { connection, .. }) => verify::online(&connection.open(load)?).await,
            Admin::Keys(Keys::Create(create)) => keys::create(&create.connection.open(load)?, create).await,
            Admin::Keys(Keys::Update(update)) => keys::update(&update.connection.open(load)?, update).await,
            Admin::Keys(Keys::List(list)) => keys::list(&list.connection.open(load)?, list.revoked).await,
            Admin::Keys(Keys::Rotate(rotate)) => keys::rotate(&rotate.connection.open(load)?, rotate).await,
            Admin::Keys(Keys::Revoke(revoke)) => keys::revoke(&revoke.connection.open(load)?, &revoke.name).await,
        }
    });
    // A name that is still being resolved would delay the exit.
    runtime.shutdown_background();
    result
}
