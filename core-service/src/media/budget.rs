//! Bounds on the memory and the threads that the pictures of all requests need together.

use bytes::Bytes;
use http_server::{BlockingLimiter, MemoryBudget, Reservation};
use tokio::task::JoinError;

use crate::{config, error::Error};

/// Bytes of memory for each pixel of work: four channels of 8 bits, and as much again for the result.
const BYTES_PER_PIXEL: u64 = 8;

/// The memory and threads that pictures share. Clones share them.
#[derive(Debug, Clone)]
pub struct PictureBudget {
    /// Encoded input pictures and other files of requests.
    inputs: MemoryBudget,
    /// Encoded pictures in responses.
    responses: MemoryBudget,
    /// Decoded pixels.
    conversion: PixelWork,
    /// Pixels of the built-in engine.
    generation: PixelWork,
}

impl PictureBudget {
    /// Creates a budget with these sizes.
    pub fn new(settings: &config::Media) -> Self {
        let config::Media { input_memory_bytes, pixel_memory_bytes, response_memory_bytes, .. } = *settings;
        Self {
            inputs: MemoryBudget::new(input_memory_bytes),
            responses: MemoryBudget::new(response_memory_bytes),
            // Each of the two has the whole amount, so that conversions do not wait for the built-in engine.
            conversion: PixelWork::new(pixel_memory_bytes),
            generation: PixelWork::new(pixel_memory_bytes),
        }
    }

    /// Returns an empty reservation for an input file.
    pub(crate) fn input(&self) -> InputReservation {
        InputReservation(self.inputs.reservation())
    }

    /// Waits for memory for the pictures of a response. More than the whole budget counts as the whole budget.
    pub(crate) async fn response(&self, bytes: u64) -> Reservation {
        self.responses.reserve(usize::try_from(bytes).unwrap_or(usize::MAX)).await
    }

    /// Returns the bounds on decoding and scaling, of input pictures and of upstreams' pictures.
    pub(crate) fn conversion(&self) -> &PixelWork {
        &self.conversion
    }

    /// Returns the bounds on generation by the built-in engine, for which conversions do not wait.
    pub(crate) fn generation(&self) -> &PixelWork {
        &self.generation
    }
}

/// Bounds on the memory for pixels, and on the blocking threads: one for each CPU. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct PixelWork {
    limiter: BlockingLimiter,
    memory: MemoryBudget,
}

impl PixelWork {
    fn new(bytes: usize) -> Self {
        Self { limiter: BlockingLimiter::per_cpu(), memory: MemoryBudget::new(bytes) }
    }

    /// Returns whether no work is running.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.memory.is_unused()
    }

    /// Runs work on this many pixels on a blocking thread, once memory and a thread are free. Work that has not started does
    /// not start if the future is dropped; work that has started runs to its end.
    ///
    /// # Errors
    /// If the work panics, or the runtime shuts down before it starts.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        pixels: u64,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let bytes = usize::try_from(pixels.saturating_mul(BYTES_PER_PIXEL)).unwrap_or(usize::MAX);
        let memory = self.memory.reserve(bytes).await;
        let work = move || {
            let _memory = memory;
            work()
        };
        self.limiter.run(work).await
    }
}

impl Default for PictureBudget {
    fn default() -> Self {
        Self::new(&config::Media::default())
    }
}

/// The memory of one input file, which grows while the file arrives.
#[derive(Debug)]
pub(crate) struct InputReservation(Reservation);

impl InputReservation {
    /// Reserves more bytes.
    ///
    /// # Errors
    /// [`Error::LimitReached`] if the input files of all requests would exceed their memory.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        let limit = "the server has reached its limit of memory for input files (media.input_memory_bytes)";
        self.0.try_grow(bytes).then_some(()).ok_or(Error::LimitReached(limit))
    }

    /// Returns the bytes with the reservation attached, which is released when the last clone or slice of them is dropped.
    pub(crate) fn attach(self, bytes: Bytes) -> Bytes {
        self.0.attach(bytes)
    }
}
