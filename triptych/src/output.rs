//! Writing to standard output and standard error without waiting for their readers.
//!
//! A pipe that is not read fills up, and the next write to it blocks. A thread per stream does the writing; lines that
//! exceed its queue are dropped and counted.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// The most lines that wait to be written.
const MAX_LINES: usize = 8192;
/// Places in the queue that texts do not take, so that a flush can wait behind a full queue.
const FLUSH_PLACES: usize = 8;
/// The most bytes that wait to be written.
const MAX_BYTES: usize = 4 << 20;

/// After a write, texts are collected for this time before the next one. The first text after a pause is written at once.
const COLLECT_TIME: Duration = Duration::from_millis(10);
/// A write takes further texts until it has this many bytes.
const MAX_WRITE: usize = 64 << 10;

/// A stream that is written to by a thread of its own. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    queue: SyncSender<Entry>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    lines: AtomicUsize,
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

impl Shared {
    /// Stops counting texts as waiting.
    fn release(&self, lines: usize, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.lines.fetch_sub(lines, Ordering::Relaxed);
    }
}

#[derive(Debug)]
enum Entry {
    Text(Vec<u8>),
    /// Dropped when everything before it has been written.
    Flush(SyncSender<()>),
}

impl Output {
    /// Starts the thread that writes to `stream`. It ends with the process.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(crate) fn start(name: &str, stream: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, entries) = sync_channel(MAX_LINES + FLUSH_PLACES);
        let shared = Arc::new(Shared::default());
        let state = Arc::clone(&shared);
        thread::Builder::new().name(name.to_owned()).spawn(move || write_all(stream, &entries, &state))?;
        Ok(Self { queue, shared })
    }

    /// Enqueues a text, or drops it if too much is waiting. Never blocks.
    pub(crate) fn send(&self, text: &[u8]) {
        let shared = &*self.shared;
        let bytes = shared.bytes.fetch_add(text.len(), Ordering::Relaxed) + text.len();
        let lines = shared.lines.fetch_add(1, Ordering::Relaxed) + 1;
        let has_room = bytes <= MAX_BYTES && lines <= MAX_LINES;
        if !has_room || self.queue.try_send(Entry::Text(text.to_vec())).is_err() {
            shared.release(1, text.len());
            shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything sent before has been written, but at most for `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        let (written, wait) = sync_channel(0);
        if self.queue.try_send(Entry::Flush(written)).is_ok() {
            // Either result means that there is nothing more to wait for.
            let _ = wait.recv_timeout(limit);
        }
    }

    /// Returns how many texts were dropped since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the thread of an output does nothing but write, and belongs to no runtime"
)]
fn pause(time: Duration) {
    thread::sleep(time);
}

/// Writes what is enqueued, in as few writes as possible: under load, a write and a wake-up of this thread for each line would cost
/// more than making the line.
fn write_all(mut stream: impl Write, entries: &Receiver<Entry>, shared: &Shared) {
    let mut batch = Vec::new();
    let mut last_write: Option<Instant> = None;
    while let Ok(first) = entries.recv() {
        if let Some(rest) = last_write.and_then(|last| COLLECT_TIME.checked_sub(last.elapsed())) {
            pause(rest);
        }
        let mut lines = 0;
        let mut flush = None;
        for entry in std::iter::once(first).chain(entries.try_iter()) {
            match entry {
                Entry::Text(text) => {
                    batch.extend_from_slice(&text);
                    lines += 1;
                }
                Entry::Flush(written) => flush = Some(written),
            }
            if flush.is_some() || batch.len() >= MAX_WRITE {
                break;
            }
        }
        // A closed stream does not prevent serving.
        let _ = stream.write_all(&batch).and_then(|()| stream.flush());
        shared.release(lines, batch.len());
        batch.clear();
        drop(flush);
        last_write = Some(Instant::now());
    }
}

impl Write for Output {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.send(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc::channel};

    use super::*;

    /// A stream whose writes wait until the test allows them.
    struct Gate {
        open: Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let _ = self.open.recv();
            self.written.lock().unwrap().extend(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn stream_that_is_not_read_drops_lines_beyond_the_bounds_without_blocking() {
        for (line, lines, expected) in [(&b"x\n"[..], MAX_LINES + 100, 99), (&vec![b'x'; 1 << 20], 20, 15)] {
            let (open, gate) = channel();
            let written = Arc::<Mutex<Vec<u8>>>::default();
            let output = Output::start("test", Gate { open: gate, written: Arc::clone(&written) }).unwrap();
            for _ in 0..lines {
                output.send(line);
            }
            output.flush(Duration::ZERO);
            let dropped = output.dropped();
            // One text may be with the thread already, and no longer waits.
            assert!(dropped >= expected, "{dropped}");
            drop(open);
            output.flush(Duration::from_mins(1));
            let kept = lines - usize::try_from(dropped).unwrap();
            assert_eq!(written.lock().unwrap().len(), kept * line.len());
        }
    }

    #[test]
    fn texts_that_wait_are_written_together_and_in_order() {
        let (open, gate) = channel();
        let (written, writes) = <(Arc<Mutex<Vec<u8>>>, Arc<AtomicUsize>)>::default();
        let stream = Gate { open: gate, written: Arc::clone(&written) };
        let output = Output::start("test", Counted { stream, writes: Arc::clone(&writes) }).unwrap();
        let texts: Vec<String> = (0..1000).map(|number| format!("{number}\n")).collect();
        for text in &texts {
            output.send(text.as_bytes());
        }
        drop(open);
        output.flush(Duration::from_mins(1));
        assert_eq!(String::from_utf8(written.lock().unwrap().clone()).unwrap(), texts.concat());
        assert!(writes.load(Ordering::Relaxed) <= 3, "{writes:?}");
    }

    /// Counts writes.
    struct Counted {
        stream: Gate,
        writes: Arc<AtomicUsize>,
    }

    impl Write for Counted {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.writes.fetch_add(1, Ordering::Relaxed);
            self.stream.write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn flush_waits_for_everything_that_was_sent() {
        let (open, gate) = channel();
        drop(open);
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let output = Output::start("test", Gate { open: gate, written: Arc::clone(&written) }).unwrap();
        for _ in 0..100 {
            output.send(b"line\n");
        }
        output.flush(Duration::from_mins(1));
        assert_eq!(written.lock().unwrap().len(), 500);
        assert_eq!(output.dropped(), 0);
    }
}
