//! Captures the log of the current thread, for tests that assert log lines.

use std::{
    cell::RefCell,
    io, mem,
    sync::{Arc, Mutex, Once},
};

use tracing_subscriber::fmt::MakeWriter;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Mutex<Vec<u8>>>>> = const { RefCell::new(None) };
}

/// Installs one subscriber for all tests of the process. `tracing` caches for each callsite whether any subscriber records
/// it. With a subscriber per thread, the cached answer of one test could suppress the events of another.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| tracing_subscriber::fmt().with_ansi(false).with_writer(ThreadWriter).init());
}

/// The text that this thread logs until this is dropped. Gateway and core log on the thread of the test only if they have no
/// threads of their own: see [`with_local_and_remote_core_on_this_thread`].
///
/// [`with_local_and_remote_core_on_this_thread`]: crate::test_server::with_local_and_remote_core_on_this_thread
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
