//! A series under way: pictures as they are finished, and in the end what they cost.

use futures_util::{Stream, TryStreamExt, stream};
use tokio::time::Instant;

use super::{
    Seedream,
    answer::{self, Told},
};
use crate::{
    error::ProviderError,
    image::{
        ImageEvent,
        providers::reading::{self, Streamed},
    },
    upstream::Reply,
};

/// The pictures of a streamed answer.
pub(super) struct Series {
    provider: Seedream,
    streamed: Streamed,
    /// Which pictures were told of.
    told: Vec<bool>,
    /// The last picture, kept back until it is known what all of them cost.
    last: Option<ImageEvent>,
    over: bool,
}

impl Series {
    pub(super) fn new(provider: Seedream, reply: Reply, n: u32, deadline: Option<Instant>) -> Self {
        let streamed = Streamed::new(reply, provider.upstream.limits, deadline);
        let told = (0..n).map(|_| false).collect();
        Self { provider, streamed, told, last: None, over: false }
    }

    pub(super) fn events(self) -> impl Stream<Item = Result<ImageEvent, ProviderError>> + Send {
        let events = stream::try_unfold(self, |mut series| async move {
            if series.over {
                return Ok(None);
            }
            let events = series.next().await?;
            Ok::<_, ProviderError>(Some((stream::iter(events.into_iter().map(Ok)), series)))
        });
        events.try_flatten()
    }

    /// What the next event brings.
    async fn next(&mut self) -> Result<Vec<ImageEvent>, ProviderError> {
        let read = self.read().await.map_err(|error| self.provider.clean(error));
        let (index, item) = match read {
            Ok(Told::Picture { index, item }) => (index, item),
            Ok(Told::Nothing) => return Ok(Vec::new()),
            Ok(Told::Completed { usage }) => {
                self.over = true;
                let pictures = self.last.take().into_iter().chain(self.missing());
                return Ok(usage.map(ImageEvent::Usage).into_iter().chain(pictures).collect());
            }
            Err(error) => {
                self.over = true;
                // All the pictures are here: what broke behind them cost nothing but the count of tokens.
                return self.last.take().map(|last| vec![last]).ok_or(error);
            }
        };
        // A picture that nobody asked for, or that came before.
        match usize::try_from(index).ok().and_then(|index| self.told.get_mut(index)) {
            Some(told @ false) => *told = true,
            Some(true) | None => return Ok(Vec::new()),
        }
        let event = self.provider.event(index, item).await;
        if self.told.contains(&false) {
            return Ok(vec![event]);
        }
        self.last = Some(event);
        Ok(Vec::new())
    }

    fn missing(&self) -> impl Iterator<Item = ImageEvent> {
        let told = self.told.clone();
        let made = told.iter().filter(|told| **told).count();
        (0..).zip(told).filter(|(_, told)| !told).map(move |(index, _)| missing(index, made))
    }

    async fn read(&mut self) -> Result<Told, ProviderError> {
        let (told, last) = self.streamed.next(answer::read_event).await?;
        if last && told == Told::Nothing { Err(reading::cut_off()) } else { Ok(told) }
    }
}

/// How many pictures a series has is for the model to choose; those beyond will not come.
pub(super) fn missing(index: u32, made: usize) -> ImageEvent {
    let message = format!("the model ended the series after {made} pictures");
    ImageEvent::Failed { index, error: ProviderError::Refused { message, field: None } }
}
