//! SIGINT and SIGTERM: the first signal starts a graceful shutdown, the second one exits immediately.

use tokio_util::sync::CancellationToken;

/// The exit status after a second signal.
const EXIT_SECOND_SIGNAL: i32 = 130;

/// Returns a token that the first signal cancels. The handlers are installed when this returns.
pub(crate) fn stop() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut signals = Signals::new()?;
    let first = stop.clone();
    // Detached: it must handle a second signal at any time until the process exits.
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("shutting down; a second signal exits immediately");
        first.cancel();
        signals.next().await;
        std::process::exit(EXIT_SECOND_SIGNAL);
    });
    Ok(stop)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "same signature as on Unix, where it can fail")]
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
