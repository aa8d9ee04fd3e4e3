//! Writing to standard output and standard error without waiting for their readers.
//!
//! A pipe that is not read fills up, and the next write to it blocks. A thread per stream does the writing; texts that
//! exceed its buffer are dropped and counted.

use std::{
    io::{self, Write},
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// The most bytes that wait to be written.
const MAX_BYTES: usize = 4 << 20;
/// With so many bytes, texts are no longer collected.
const MAX_COLLECTED: usize = MAX_BYTES / 4;
/// The most bytes of one write.
const MAX_WRITE: usize = 64 << 10;
/// The largest buffer that is kept for later texts, in bytes.
const KEPT_BUFFER: usize = 256 << 10;

/// After a write, texts are collected for this time before the next one. The first text after a pause is written at once.
const COLLECT_TIME: Duration = Duration::from_millis(50);

/// A stream that is written to by a thread of its own. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Output(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    // A std mutex: it is held for a copy of a few hundred bytes, and never during a write.
    queue: Mutex<Queue>,
    /// Wakes the thread.
    enqueued: Condvar,
}

/// What waits for the thread.
#[derive(Debug, Default)]
struct Queue {
    /// The texts, one after the other: a buffer for each would be allocated by one thread and freed by another.
    text: Vec<u8>,
    /// How many bytes the thread has taken and not written yet.
    writing: usize,
    /// Dropped when everything before them has been written.
    flushes: Vec<SyncSender<()>>,
    dropped: u64,
    /// Whether the thread waits for a text.
    is_idle: bool,
}

impl Queue {
    fn has_room_for(&self, text: &[u8]) -> bool {
        self.text.len() + self.writing + text.len() <= MAX_BYTES
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty() && self.flushes.is_empty()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Consistent at every moment.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the queue, and wakes the thread if it waits.
    fn change<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queue = self.lock();
        let result = change(&mut queue);
        let wakes = mem::take(&mut queue.is_idle) || queue.text.len() >= MAX_COLLECTED;
        drop(queue);
        if wakes {
            self.enqueued.notify_one();
        }
        result
    }
}

impl Output {
    /// Starts the thread that writes to `stream`. It ends with the process.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(crate) fn start(name: &str, stream: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let queue = Arc::clone(&shared);
        thread::Builder::new().name(name.to_owned()).spawn(move || write_all(stream, &queue))?;
        Ok(Self(shared))
    }

    /// Enqueues a text, or drops it if too much is waiting. Never waits for the stream.
    pub(crate) fn send(&self, text: &[u8]) {
        self.0.change(|queue| {
            if queue.has_room_for(text) {
                queue.text.extend_from_slice(text);
            } else {
                queue.dropped += 1;
            }
        });
    }

    /// Waits until everything sent before has been written, but at most for `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        let (written, wait) = sync_channel(0);
        self.0.change(|queue| queue.flushes.push(written));
        // The thread may be collecting texts, for which `change` does not wake it.
        self.0.enqueued.notify_one();
        // Either result means that there is nothing more to wait for.
        let _ = wait.recv_timeout(limit);
    }

    /// Returns how many texts were dropped since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.lock().dropped
    }
}

/// Writes what is enqueued, with as few writes as possible: under load, a write and a wake-up of this thread for each line would cost more
/// than making the line.
fn write_all(mut stream: impl Write, shared: &Shared) {
    let mut text = Vec::new();
    let mut next_write = Instant::now();
    loop {
        let mut queue = shared.lock();
        while queue.is_empty() {
            queue.is_idle = true;
            queue = shared.enqueued.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        // A flush does not wait for more texts.
        while queue.flushes.is_empty()
            && queue.text.len() < MAX_COLLECTED
            && let Some(rest) = next_write.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero())
        {
            let woken = shared.enqueued.wait_timeout(queue, rest);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        mem::swap(&mut text, &mut queue.text);
        queue.writing = text.len();
        let flushes = mem::take(&mut queue.flushes);
        drop(queue);
        for part in text.chunks(MAX_WRITE) {
            // A closed stream does not prevent serving.
            let _ = stream.write_all(part).and_then(|()| stream.flush());
            shared.lock().writing -= part.len();
        }
        drop(flushes);
        text.clear();
        text.shrink_to(KEPT_BUFFER);
        next_write = Instant::now() + COLLECT_TIME;
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
    use std::sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, channel},
    };

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
    fn stream_that_is_not_read_drops_texts_beyond_the_bound_without_blocking() {
        // `MAX_BYTES` has room for 4096 lines of 1 KiB, or for 4 of 1 MiB; one more is tolerated.
        for (length, lines, expected) in [(1 << 10, 4200, 4200 - 4097), (1 << 20, 20, 15)] {
            let line = vec![b'x'; length];
            let (open, gate) = channel();
            let written = Arc::<Mutex<Vec<u8>>>::default();
            let output = Output::start("test", Gate { open: gate, written: Arc::clone(&written) }).unwrap();
            for _ in 0..lines {
                output.send(&line);
            }
            output.flush(Duration::ZERO);
            let dropped = output.dropped();
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
