//! The pictures of one request on their way: from the provider, to size and format, into the answer.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{Stream, TryStreamExt, stream};
use tokio::time::{Instant, timeout_at};
use triptych_proto::{
    time,
    v1::{self as pb, stream_images_response::Event},
};

use super::{
    ImageEvent,
    answer::in_words,
    fit::{Fitted, Fitter, Wish},
    outcomes::Outcomes,
    validate::Delivery,
};
use crate::{
    call::Chunks,
    error::{Error, ProviderError},
    media::MediaStore,
};

/// How long before a deadline the pictures that are finished by then are handed over: a twentieth of the time there was,
/// and no more than this. The deadline is also kept further out, by the transport of either side, which began to count
/// earlier and throws away whatever has not come back by then.
const EARLY: Duration = Duration::from_secs(1);

/// A request that was admitted: who makes the pictures, and how they are handed over.
pub(super) struct Generation {
    pub(super) events: Chunks<ImageEvent>,
    pub(super) ledger: Outcomes,
    /// The public name of the model.
    pub(super) model: String,
    pub(super) wish: Wish,
    pub(super) delivery: Delivery,
    pub(super) deadline: Option<Instant>,
    /// How many bytes of pictures the message they go in still takes.
    pub(super) room: usize,
    pub(super) fitter: Fitter,
    pub(super) media_store: MediaStore,
}

/// How far a stream of pictures has come.
enum Stage {
    Generation(Box<Generation>),
    Ending(std::vec::IntoIter<pb::ImageFailure>),
}

impl Generation {
    /// All pictures at once. With one of them finished, they are the answer some time `early`, before the deadline.
    pub(super) async fn whole(mut self, early: Option<Instant>) -> Result<pb::GenerateImagesResponse, Error> {
        let mut pictures = BTreeMap::new();
        let cause = loop {
            // With a picture in hand there is something to answer, and it has to get back in time.
            let until = if pictures.is_empty() { self.deadline } else { early };
            match in_time(until, self.next()).await {
                Ok(Some(Event::Finished(pb::ImageFinished { picture_index, picture, .. }))) => {
                    pictures.insert(picture_index, picture.unwrap_or_default());
                }
                Ok(Some(Event::Preview(_) | Event::Failed(_))) => {}
                Ok(None) => break None,
                // What is made, and perhaps paid, is handed over all the same.
                Err(Error::Provider(error)) if !pictures.is_empty() => break Some(error),
                Err(error) => return Err(error),
            }
        };
        let Self { mut ledger, model, .. } = self;
        let usage = ledger.usage();
        let failures = ledger.close(cause)?;
        let pictures = pictures.into_values().collect();
        Ok(pb::GenerateImagesResponse { create_time: Some(time::now()), model, pictures, usage, failures })
    }

    /// The pictures as they come. An error is the last item and ends the provider's work.
    pub(super) fn one_by_one(self) -> impl Stream<Item = Result<Event, Error>> + Send + 'static {
        stream::try_unfold(Stage::Generation(Box::new(self)), |stage| async move {
            in_time(stage.deadline(), stage.step()).await
        })
    }

    /// The provider's next picture or preview in the contract's words; `None` once it has no more. Given up before its
    /// end, it loses that event, and the ledger knows nothing of it.
    async fn next(&mut self) -> Result<Option<Event>, Error> {
        // Nothing that comes behind the last picture is worth waiting for.
        while !self.ledger.is_settled()
            && let Some(event) = self.events.try_next().await?
        {
            let create_time = Some(time::now());
            match event {
                ImageEvent::Preview { index, partial, picture } => {
                    self.ledger.preview(index)?;
                    let wish = Wish { original: false, ..self.wish };
                    match self.fitter.fit(picture, wish).await {
                        Ok(Fitted { picture, .. }) => {
                            let picture = Some(in_words(picture, String::new()));
                            let preview =
                                pb::ImagePreview { picture_index: index, partial_index: partial, picture, create_time };
                            return Ok(Some(Event::Preview(preview)));
                        }
                        // The picture itself may be sound all the same.
                        Err(error) => tracing::debug!(%error, "a preview is left out"),
                    }
                }
                ImageEvent::Finished { index, picture, revised_prompt } => {
                    let fitted = match self.fitter.fit(picture, self.wish).await {
                        Ok(fitted) => fitted,
                        // The others may be sound all the same.
                        Err(error) => {
                            self.ledger.failed(index, error)?;
                            continue;
                        }
                    };
                    let picture = Some(self.hand_over(fitted, revised_prompt).await?);
                    self.ledger.finished(index)?;
                    let finished = pb::ImageFinished { picture_index: index, picture, create_time, usage: None };
                    return Ok(Some(Event::Finished(finished)));
                }
                ImageEvent::Failed { index, error } => self.ledger.failed(index, error)?,
                ImageEvent::Usage(usage) => self.ledger.spent(usage),
            }
        }
        Ok(None)
    }

    async fn hand_over(&mut self, fitted: Fitted, revised_prompt: String) -> Result<pb::Picture, Error> {
        let Fitted { picture, original } = fitted;
        let original_media_key = match original {
            Some(original) => self.media_store.put_content(original.data, original.media_type).await?.key,
            None => String::new(),
        };
        let (data, media_type) = (picture.data.clone(), picture.media_type);
        let picture = pb::Picture { original_media_key, ..in_words(picture, revised_prompt) };
        if self.delivery == Delivery::Bytes
            && let Some(room) = self.room.checked_sub(data.len())
        {
            self.room = room;
            return Ok(picture);
        }
        let media_key = self.media_store.put_content(data, media_type).await?.key;
        Ok(pb::Picture { data: bytes::Bytes::new(), media_key, ..picture })
    }
}

impl Stage {
    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Generation(making) => making.deadline,
            Self::Ending(_) => None,
        }
    }

    /// The next event of a stream: previews and pictures as they come, then the failures of those that did not.
    async fn step(self) -> Result<Option<(Event, Self)>, Error> {
        let mut failures = match self {
            Self::Ending(failures) => failures,
            Self::Generation(mut making) => match making.next().await {
                Ok(Some(Event::Finished(finished))) => {
                    let usage = making.ledger.usage();
                    let event = Event::Finished(pb::ImageFinished { usage, ..finished });
                    return Ok(Some((event, Self::Generation(making))));
                }
                Ok(Some(event)) => return Ok(Some((event, Self::Generation(making)))),
                Ok(None) => making.ledger.close(None)?.into_iter(),
                Err(error) => return Err(error),
            },
        };
        Ok(failures.next().map(|failure| (Event::Failed(failure), Self::Ending(failures))))
    }
}

/// When what there is by then is handed over, so that it is back before this deadline.
pub(super) fn early(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    deadline - EARLY.min(left / 20)
}

/// Ends the work at the caller's deadline; dropping it ends the provider's.
pub(super) async fn in_time<T>(
    deadline: Option<Instant>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Some(deadline) = deadline else { return work.await };
    timeout_at(deadline, work).await.unwrap_or_else(|_| {
        Err(ProviderError::Timeout("the deadline passed before the pictures were finished".to_owned()).into())
    })
}
