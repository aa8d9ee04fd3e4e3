//! The certificates of a process: read at start, checked by `triptych check`, and read again by a reload.

use std::{path::PathBuf, time::SystemTime};

use http_server::{Tls, TlsError, TlsFile, TlsFiles, Validity};
use metrics::{counter, gauge};
use rest_gateway::core_client::{CoreTls, CoreTlsFiles};

use crate::config::{Config, ConfigError, ServerTls, core_setting, server_setting};

/// Counts reads of certificates by a reload, by their result: `applied` or `failed`.
const TOTAL: &str = "triptych_tls_certificate_reload_total";
/// 1 if the files were read at the last reload, and 0 if they could not be used and earlier ones apply.
const APPLIED: &str = "triptych_tls_certificate_reload_success";
/// When the certificate expires, in seconds since 1970.
const EXPIRY: &str = "triptych_tls_certificate_expiry_timestamp_seconds";

/// Where certificates are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the REST port.
    Rest,
    /// At the gRPC port.
    Grpc,
    /// In the connection of a gateway to its core.
    Core,
}

impl Place {
    /// Returns its value of the label `place` of metrics.
    fn label(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Grpc => "grpc",
            Self::Core => "core",
        }
    }

    /// Returns the setting with the path of a file.
    fn setting(self, file: TlsFile) -> String {
        match self {
            Self::Rest => format!("rest.tls.{}", server_setting(file)),
            Self::Grpc => format!("grpc.tls.{}", server_setting(file)),
            Self::Core => format!("rest.core.{}", core_setting(file)),
        }
    }

    /// Returns an error about a file.
    fn error(self, config: &Config, error: &TlsError) -> ConfigError {
        config.layers.config_error(&self.setting(error.file), &error.to_string())
    }

    /// Returns an error about the period in which a certificate is valid, unless the present time is within it.
    fn expiry_error(self, config: &Config, validity: &Validity) -> Option<ConfigError> {
        let problem = validity.problem_at(SystemTime::now())?;
        let message =
            format!("the certificate {problem}, and peers that verify it refuse it; replace the file by a renewed one");
        Some(config.layers.config_error(&self.setting(TlsFile::Certificate), &message))
    }
}

/// Returns the TLS settings of the servers.
fn servers(config: &Config) -> [(Place, &ServerTls); 2] {
    [(Place::Rest, &config.rest.tls), (Place::Grpc, &config.grpc_tls)]
}

/// Reads all TLS files in the settings, and returns a line about each certificate that has a key: until when it is valid.
///
/// # Errors
/// A file cannot be used, or a certificate is not valid now.
pub(crate) fn check(config: &Config) -> Result<Vec<String>, ConfigError> {
    let mut found = Vec::new();
    for (place, tls) in servers(config) {
        if let Some(files) = tls.files() {
            found.push((place, Some(files.load().map_err(|error| place.error(config, &error))?.validity)));
        }
    }
    let core = config.rest.core.files();
    if core != CoreTlsFiles::default() {
        found.push((Place::Core, core.load().map_err(|error| Place::Core.error(config, &error))?.1));
    }
    let mut lines = Vec::new();
    for (place, validity) in found {
        if let Some(validity) = validity {
            if let Some(error) = place.expiry_error(config, &validity) {
                return Err(error);
            }
            let setting = place.setting(TlsFile::Certificate);
            lines.push(format!("{setting} is valid until {}", validity.not_after));
        }
    }
    Ok(lines)
}

/// The certificates of a running process.
#[derive(Debug, Default)]
pub(crate) struct Certificates(Vec<Certificate>);

#[derive(Debug)]
struct Certificate {
    place: Place,
    source: Source,
}

/// The files of a certificate, and the configuration that new connections use.
#[derive(Debug, Clone)]
enum Source {
    Server { files: TlsFiles, tls: Tls },
    Core { files: CoreTlsFiles, tls: CoreTls },
}

impl Certificates {
    /// Reads the certificate of a port; `None` without TLS.
    ///
    /// # Errors
    /// A file cannot be used. An expired certificate is only logged, because a client may accept it.
    pub(crate) fn server(&mut self, config: &Config, place: Place) -> Result<Option<Tls>, ConfigError> {
        let Some((_, settings)) = servers(config).into_iter().find(|(server, _)| *server == place) else {
            return Ok(None);
        };
        let Some(files) = settings.files() else { return Ok(None) };
        let loaded = files.load().map_err(|error| place.error(config, &error))?;
        let tls = Tls::new(loaded.config);
        self.start(config, place, Source::Server { files, tls: tls.clone() }, Some(loaded.validity));
        Ok(Some(tls))
    }

    /// Reads the certificates for the connection to a core.
    ///
    /// # Errors
    /// A file cannot be used.
    pub(crate) fn core(&mut self, config: &Config) -> Result<CoreTls, ConfigError> {
        let files = config.rest.core.files();
        let (client, validity) = files.load().map_err(|error| Place::Core.error(config, &error))?;
        let tls = CoreTls::new(client);
        self.start(config, Place::Core, Source::Core { files, tls: tls.clone() }, validity);
        Ok(tls)
    }

    fn start(&mut self, config: &Config, place: Place, source: Source, validity: Option<Validity>) {
        if let Some(error) = validity.and_then(|validity| place.expiry_error(config, &validity)) {
            tracing::warn!("{error}");
        }
        report_applied(place, validity);
        self.0.push(Certificate { place, source });
    }

    /// Returns the paths of all files.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.0.iter().flat_map(|certificate| certificate.source.paths()).collect()
    }

    /// Follows changed settings with the paths of the files. A place cannot begin or cease to use TLS.
    pub(crate) fn configure(&mut self, config: &Config) {
        for Certificate { place, source } in &mut self.0 {
            match source {
                Source::Server { files, .. } => {
                    let settings = servers(config).into_iter().find(|(server, _)| server == place);
                    if let Some(changed) = settings.and_then(|(_, tls)| tls.files()) {
                        *files = changed;
                    }
                }
                Source::Core { files, .. } => *files = config.rest.core.files(),
            }
        }
    }

    /// Reads all files again. New connections use them; where they cannot be used, the earlier ones apply.
    pub(crate) async fn reload(&self, config: &Config) {
        for Certificate { place, source } in &self.0 {
            let source = source.clone();
            let reloaded = tokio::task::spawn_blocking(move || source.reload()).await;
            match reloaded {
                Ok(Ok(validity)) => {
                    count(*place, "applied");
                    report_applied(*place, validity);
                    let setting = place.setting(TlsFile::Certificate);
                    match validity.map(|validity| (validity, place.expiry_error(config, &validity))) {
                        Some((_, Some(error))) => tracing::warn!("{error}"),
                        Some((Validity { not_after, .. }, None)) => {
                            tracing::info!("read {setting} again; valid until {not_after}");
                        }
                        None => {}
                    }
                }
                Ok(Err(error)) => {
                    count(*place, "failed");
                    gauge!(APPLIED, "place" => place.label()).set(0.0);
                    let error = place.error(config, &error);
                    tracing::error!("{error}; new connections use the last valid certificate");
                }
                // The runtime is shutting down.
                Err(_cancelled) => return,
            }
        }
    }
}

impl Source {
    /// Reads the files and applies them. Returns when the certificate is valid, if there is one. Blocks.
    fn reload(&self) -> Result<Option<Validity>, TlsError> {
        match self {
            Self::Server { files, tls } => {
                let loaded = files.load()?;
                tls.replace(loaded.config);
                Ok(Some(loaded.validity))
            }
            Self::Core { files, tls } => {
                let (config, validity) = files.load()?;
                tls.replace(config);
                Ok(validity)
            }
        }
    }

    fn paths(&self) -> Vec<PathBuf> {
        match self {
            Self::Server { files: TlsFiles { certificate, key, client_ca }, .. } => {
                [certificate, key].into_iter().chain(client_ca).cloned().collect()
            }
            Self::Core { files: CoreTlsFiles { ca, identity }, .. } => {
                let identity = identity.iter().flat_map(|(certificate, key)| [certificate, key]);
                identity.chain(ca).cloned().collect()
            }
        }
    }
}

/// Reports that the files of a place apply, and when its certificate is valid, if it has one.
fn report_applied(place: Place, validity: Option<Validity>) {
    gauge!(APPLIED, "place" => place.label()).set(1.0);
    if let Some(validity) = validity {
        #[expect(
            clippy::cast_precision_loss,
            reason = "the seconds until any year of a certificate are exact in a float"
        )]
        gauge!(EXPIRY, "place" => place.label()).set(validity.not_after.unix_seconds() as f64);
    }
}

/// Counts a reload of the files of a place.
fn count(place: Place, result: &'static str) {
    counter!(TOTAL, "place" => place.label(), "result" => result).increment(1);
}
