//! The outcome of each image of a request: partial success and token usage.

use triptych_proto::{error_info::reason_code, v1 as pb};

use crate::{
    error::{Error, ProviderError},
    image::Usage,
};

/// The outcomes of all images of one request.
#[derive(Debug)]
pub(super) struct Outcomes {
    images: Vec<Outcome>,
    /// Usage that has not been reported to the client yet.
    usage: Option<Usage>,
}

/// The outcome of one image.
#[derive(Debug, Clone)]
enum Outcome {
    /// The provider has sent neither the image nor a failure yet.
    Pending,
    Finished,
    Failed(ProviderError),
}

impl Outcomes {
    pub(super) fn new(n: u32) -> Self {
        Self { images: (0..n).map(|_| Outcome::Pending).collect(), usage: None }
    }

    /// Checks that an index is valid and its image pending.
    pub(super) fn check_pending(&mut self, index: u32) -> Result<(), Error> {
        self.pending(index).map(drop)
    }

    /// Records that an image has been delivered.
    ///
    /// # Errors
    /// The index is not valid, or the image not pending.
    pub(super) fn record_finished(&mut self, index: u32) -> Result<(), Error> {
        *self.pending(index)? = Outcome::Finished;
        Ok(())
    }

    /// Records that an image has failed.
    ///
    /// # Errors
    /// As for [`record_finished`](Self::record_finished).
    pub(super) fn record_failed(&mut self, index: u32, error: ProviderError) -> Result<(), Error> {
        *self.pending(index)? = Outcome::Failed(error);
        Ok(())
    }

    pub(super) fn add_usage(&mut self, more: Usage) {
        let Usage { input, input_images, output, total } = self.usage.unwrap_or_default();
        self.usage = Some(Usage {
            input: input.saturating_add(more.input),
            input_images: input_images.saturating_add(more.input_images),
            output: output.saturating_add(more.output),
            total: total.saturating_add(more.total),
        });
    }

    /// Returns the usage since the last call of this function.
    pub(super) fn take_usage(&mut self) -> Option<pb::ImageUsage> {
        let Usage { input, input_images, output, total } = self.usage.take()?;
        Some(pb::ImageUsage {
            input_tokens: input,
            output_tokens: output,
            total_tokens: total,
            input_image_tokens: input_images,
        })
    }

    /// Returns whether an image is still pending.
    pub(super) fn has_pending(&self) -> bool {
        self.images.iter().any(|outcome| matches!(outcome, Outcome::Pending))
    }

    /// Returns the failures after the last event. Pending images fail with `cause`.
    ///
    /// # Errors
    /// The first failure, if no image was finished.
    pub(super) fn into_failures(self, cause: Option<ProviderError>) -> Result<Vec<pb::ImageFailure>, Error> {
        let any_finished = self.images.iter().any(|outcome| matches!(outcome, Outcome::Finished));
        let missing = || ProviderError::Unreadable("the provider's response lacks an image".to_owned());
        let cause = cause.unwrap_or_else(missing);
        let failures = (0..).zip(self.images).filter_map(|(index, outcome)| match outcome {
            Outcome::Finished => None,
            Outcome::Failed(error) => Some((index, error)),
            Outcome::Pending => Some((index, cause.clone())),
        });
        let failures: Vec<_> = failures.collect();
        match failures.first() {
            Some((_, error)) if !any_finished => Err(error.clone().into()),
            Some(_) | None => Ok(failures.into_iter().map(failure).collect()),
        }
    }

    /// Returns the outcome of a pending image.
    ///
    /// # Errors
    /// The index is not valid, or the image not pending: the provider's response is inconsistent.
    fn pending(&mut self, index: u32) -> Result<&mut Outcome, Error> {
        let n = self.images.len();
        let outcome = usize::try_from(index).ok().and_then(|index| self.images.get_mut(index));
        match outcome {
            Some(outcome @ Outcome::Pending) => Ok(outcome),
            Some(Outcome::Finished | Outcome::Failed(_)) => {
                Err(ProviderError::Unreadable(format!("the provider returned image {index} twice")).into())
            }
            None => {
                let message = format!("the provider returned image {index}, but {n} were requested, counted from 0");
                Err(ProviderError::Unreadable(message).into())
            }
        }
    }
}

fn failure((picture_index, error): (u32, ProviderError)) -> pb::ImageFailure {
    tracing::info!(picture = picture_index, %error, "an image of a partially successful request failed");
    pb::ImageFailure { picture_index, code: reason_code(error.reason()), message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> ProviderError {
        ProviderError::ContentPolicy("no".to_owned())
    }

    #[test]
    fn partial_success_lists_the_failures() {
        let mut outcomes = Outcomes::new(4);
        outcomes.record_finished(2).unwrap();
        outcomes.record_failed(0, policy()).unwrap();
        outcomes.record_finished(3).unwrap();
        assert!(outcomes.has_pending());
        let failures = outcomes.into_failures(Some(ProviderError::Timeout("late".to_owned()))).unwrap();
        let failures: Vec<_> =
            failures.iter().map(|f| (f.picture_index, f.code.as_str(), f.message.as_str())).collect();
        assert_eq!(failures, [(0, "content_policy_violation", "no"), (1, "upstream_timeout", "late")]);
    }

    #[test]
    fn without_a_finished_image_the_first_failure_is_the_error() {
        let mut outcomes = Outcomes::new(2);
        outcomes.record_failed(1, policy()).unwrap();
        outcomes.record_failed(0, ProviderError::Timeout("late".to_owned())).unwrap();
        assert!(!outcomes.has_pending());
        assert_eq!(outcomes.into_failures(None), Err(ProviderError::Timeout("late".to_owned()).into()));
        assert!(matches!(Outcomes::new(1).into_failures(None), Err(Error::Provider(ProviderError::Unreadable(_)))));
        assert_eq!(Outcomes::new(1).into_failures(Some(policy())), Err(policy().into()));
    }

    #[test]
    fn unexpected_and_repeated_indices_are_unreadable() {
        let mut outcomes = Outcomes::new(2);
        assert!(outcomes.record_finished(2).is_err() && outcomes.check_pending(u32::MAX).is_err());
        outcomes.record_finished(0).unwrap();
        assert!(
            outcomes.record_finished(0).is_err()
                && outcomes.record_failed(0, policy()).is_err()
                && outcomes.check_pending(0).is_err()
        );
    }

    #[test]
    fn usage_is_summed_until_it_is_taken() {
        let mut outcomes = Outcomes::new(1);
        assert_eq!(outcomes.take_usage(), None);
        let usage = Usage { input: 10, input_images: 4, output: 5, total: 15 };
        outcomes.add_usage(usage);
        outcomes.add_usage(usage);
        let sum = pb::ImageUsage { input_tokens: 20, output_tokens: 10, total_tokens: 30, input_image_tokens: 8 };
        assert_eq!(outcomes.take_usage(), Some(sum));
        assert_eq!(outcomes.take_usage(), None);
    }
}
