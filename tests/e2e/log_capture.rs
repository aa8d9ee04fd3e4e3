//! Captures the log of the current thread.

use std::{
    cell::RefCell,
    io, mem,
    sync::{Arc, Mutex, Once},
};

use tracing_subscriber::fmt::MakeWriter;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Mutex<Vec<u8>>>>> = const { RefCell::new(None) };
}

/// Installs the subscriber of all tests. `tracing` decides once per callsite whether an event is recorded, and may decide
/// for a subscriber of one thread by the state of another: what is logged reaches it for certain only if every test has
/// the same subscriber from its start.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| tracing_subscriber::fmt().with_ansi(false).with_writer(ThreadWriter).init());
}

/// The text that this thread logs until this is dropped. The core's server runs on the test's thread, the gateway's on its
/// own threads unless it has none.
#[derive(Debug)]
pub(crate) struct LogCapture(Arc<Mutex<Vec<u8>>>);

impl LogCapture {
    pub(crate) fn start() -> Self {
        install();
        let log = Arc::default();
        CURRENT.set(Some(Arc::clone(&log)));
        Self(log)
    }

    /// Removes and returns the text captured so far.
    pub(crate) fn take(&self) -> String {
        String::from_utf8(mem::take(&mut self.0.lock().unwrap())).unwrap()
    }
}

impl Drop for LogCapture {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}

/// Writes to the capture of the current thread, or nowhere.
struct ThreadWriter;

impl<'a> MakeWriter<'a> for ThreadWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl io::Write for ThreadWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        CURRENT.with_borrow(|current| {
            if let Some(log) = current {
                log.lock().unwrap().extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
