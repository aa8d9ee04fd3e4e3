//! SIGINT and SIGTERM: the first one asks for a clean stop, the second one leaves at once.

use tokio_util::sync::CancellationToken;

/// Status of a process that was told twice.
const IMPATIENT: i32 = 130;

/// A token that is cancelled by the first signal. Listening begins before this returns, so none is missed.
pub(crate) fn stop() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut signals = Signals::new()?;
    let first = stop.clone();
    // Lives as long as the process, by intent: the second signal must be heard at any time.
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("stopping; a second signal leaves at once");
        first.cancel();
        signals.next().await;
        std::process::exit(IMPATIENT);
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
    #[expect(clippy::unnecessary_wraps, reason = "the same shape as on Unix, where listening can fail")]
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
