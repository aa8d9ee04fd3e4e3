//! The ports of the process: their addresses, with TLS or without.

use std::io;

use http_server::{BoundListener, ListenAddress, Tls};

use crate::{
    banner::{Security, Server},
    certificates::{Certificates, Place},
    config::{Config, ServerTls, variable},
};

/// Listens on the REST port.
pub(crate) async fn rest(config: &Config, certificates: &mut Certificates) -> anyhow::Result<BoundListener> {
    let tls = certificates.server(config, Place::Rest)?;
    bind(config, "rest.listen", &config.rest.listen, tls).await
}

/// Listens on the gRPC port.
pub(crate) async fn grpc(config: &Config, certificates: &mut Certificates) -> anyhow::Result<BoundListener> {
    let tls = certificates.server(config, Place::Grpc)?;
    bind(config, "grpc.listen", &config.core.grpc.listen, tls).await
}

/// Listens on the admin port, if there is one.
pub(crate) async fn admin(config: &Config) -> anyhow::Result<Option<BoundListener>> {
    match &config.admin.listen {
        Some(address) => bind(config, "admin.listen", address, None).await.map(Some),
        None => Ok(None),
    }
}

/// Describes a bound port for the banner.
pub(crate) fn server(listener: &BoundListener, tls: &ServerTls) -> io::Result<Server> {
    let security = match tls.files() {
        None => Security::Plain,
        Some(files) if files.client_ca.is_some() => Security::ClientCertificate,
        Some(_) => Security::Tls,
    };
    Ok(Server { address: listener.address()?, security })
}

async fn bind(config: &Config, key: &str, address: &ListenAddress, tls: Option<Tls>) -> anyhow::Result<BoundListener> {
    BoundListener::bind(address, tls).await.map_err(|error| {
        let remedy = match address {
            ListenAddress::Tcp(_) => "or port 0 for a free port",
            ListenAddress::Unix(_) => "in a directory in which this user may create files",
        };
        let message = format!("cannot listen: {error}; set another address in {}, {remedy}", variable(key));
        config.layers.config_error(key, &message).into()
    })
}
