//! The HTTP client of the exporter of traces, on a thread and a runtime of its own.
//!
//! The exporter waits for the client on a thread of its own too, so that a slow or dead collector delays no thread of the service, even
//! if the service has only one.

use std::{io, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::{Builder, Runtime};

/// Sends requests within a time limit.
#[derive(Debug)]
pub(super) struct ExportClient {
    client: reqwest::Client,
    /// `None` only while this value is dropped.
    runtime: Option<Runtime>,
}

impl ExportClient {
    /// Starts the thread of the client.
    pub(super) fn start(timeout: Duration) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("otlp").enable_all().build()?;
        let client = reqwest::Client::builder().timeout(timeout).redirect(reqwest::redirect::Policy::none());
        let client = client.build().map_err(io::Error::other)?;
        Ok(Self { client, runtime: Some(runtime) })
    }
}

#[async_trait]
impl HttpClient for ExportClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let runtime = self.runtime.as_ref().ok_or("the exporter has ended")?;
        let exchange = runtime.spawn(async move {
            let request = reqwest::Request::try_from(request)?;
            let response = client.execute(request).await?;
            let status = response.status();
            Ok::<_, reqwest::Error>((status, response.bytes().await?))
        });
        // The client applies the time limit. The task itself fails only if it panics or its runtime is shut down.
        let (status, body) = match exchange.await {
            Ok(result) => result?,
            Err(error) => return Err(format!("the export failed: {error}").into()),
        };
        Ok(Response::builder().status(status).body(body)?)
    }
}

impl Drop for ExportClient {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Does not wait for a DNS look-up in progress, which blocks its thread.
            runtime.shutdown_background();
        }
    }
}
