//! Signals: SIGINT, SIGTERM and SIGQUIT start a graceful shutdown, a second one of them exits immediately; SIGHUP reloads the
//! configuration.

use std::{io, time::Duration};

use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

/// The exit status after a second signal.
const EXIT_SECOND_SIGNAL: i32 = 130;

/// The requests that signals make.
#[derive(Debug)]
pub(crate) struct Requests {
    /// Cancelled when the process must report that it is not ready, but serve on.
    pub(crate) not_ready: CancellationToken,
    /// Cancelled when the drain must begin.
    pub(crate) stop: CancellationToken,
    /// Receives a message for each requested reload. Several requests during a reload are one.
    pub(crate) reloads: mpsc::Receiver<()>,
}

/// Installs the signal handlers. The drain begins `shutdown_delay` after the first signal that ends the process.
pub(crate) fn handle(shutdown_delay: Duration) -> io::Result<Requests> {
    let (not_ready, stop) = (CancellationToken::new(), CancellationToken::new());
    let (reload, reloads) = mpsc::channel(1);
    let mut signals = Signals::new()?;
    let (unready, drain) = (not_ready.clone(), stop.clone());
    // Detached: it must handle a second signal at any time until the process exits.
    tokio::spawn(async move {
        while signals.next().await == Signal::Hangup {
            let _ = reload.try_send(());
        }
        tracing::info!("shutting down; a second signal exits immediately");
        unready.cancel();
        let delay = async {
            sleep(shutdown_delay).await;
            drain.cancel();
            std::future::pending::<()>().await;
        };
        let second = async { while signals.next().await == Signal::Hangup {} };
        tokio::select! {
            () = delay => {}
            () = second => std::process::exit(EXIT_SECOND_SIGNAL),
        }
    });
    Ok(Requests { not_ready, stop, reloads })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    /// End the process.
    End,
    /// Reload the configuration.
    Hangup,
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    quit: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    /// The meaning of SIGHUP.
    on_hangup: Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        // A terminal that is closed sends SIGHUP too, and the process must not outlive it.
        let is_interactive = io::IsTerminal::is_terminal(&io::stdin());
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            on_hangup: if is_interactive { Signal::End } else { Signal::Hangup },
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::End,
            _ = self.terminate.recv() => Signal::End,
            _ = self.quit.recv() => Signal::End,
            _ = self.hangup.recv() => self.on_hangup,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "same signature as on Unix, where it can fail")]
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
        Signal::End
    }
}
