//! Which pictures of a request are accounted for, and what the missing ones stand for: partial success told truthfully.

use triptych_proto::v1 as pb;

use super::Usage;
use crate::error::{Error, ProviderError};

/// The accounts of one request.
#[derive(Debug)]
pub(super) struct Outcomes {
    pictures: Vec<Outcome>,
    /// Usage that nobody was told of yet.
    usage: Option<Usage>,
}

#[derive(Debug, Clone)]
enum Outcome {
    Open,
    Finished,
    Failed(ProviderError),
}

impl Outcomes {
    pub(super) fn new(n: u32) -> Self {
        Self { pictures: (0..n).map(|_| Outcome::Open).collect(), usage: None }
    }

    /// That a preview belongs to a picture that was asked for.
    pub(super) fn preview(&mut self, index: u32) -> Result<(), Error> {
        self.account(index).map(drop)
    }

    pub(super) fn finished(&mut self, index: u32) -> Result<(), Error> {
        *self.account(index)? = Outcome::Finished;
        Ok(())
    }

    pub(super) fn failed(&mut self, index: u32, error: ProviderError) -> Result<(), Error> {
        *self.account(index)? = Outcome::Failed(error);
        Ok(())
    }

    pub(super) fn spent(&mut self, more: Usage) {
        let Usage { input, input_images, output, total } = self.usage.unwrap_or_default();
        self.usage = Some(Usage {
            input: input.saturating_add(more.input),
            input_images: input_images.saturating_add(more.input_images),
            output: output.saturating_add(more.output),
            total: total.saturating_add(more.total),
        });
    }

    /// The usage since it was last asked for.
    pub(super) fn usage(&mut self) -> Option<pb::ImageUsage> {
        let Usage { input, input_images, output, total } = self.usage.take()?;
        Some(pb::ImageUsage {
            input_tokens: input,
            output_tokens: output,
            total_tokens: total,
            input_image_tokens: input_images,
        })
    }

    /// Whether every picture is accounted for.
    pub(super) fn is_settled(&self) -> bool {
        !self.pictures.iter().any(|account| matches!(account, Outcome::Open))
    }

    /// Whether there is a finished picture.
    pub(super) fn has_finished(&self) -> bool {
        self.pictures.iter().any(|account| matches!(account, Outcome::Finished))
    }

    /// The failures, once nothing more will come. Pictures that nothing was said of fail with `cause`.
    ///
    /// # Errors
    /// Where no picture was finished: why the first one was not.
    pub(super) fn close(self, cause: Option<ProviderError>) -> Result<Vec<pb::ImageFailure>, Error> {
        let any = self.has_finished();
        let silent = || ProviderError::Unreadable("the provider answered without a picture".to_owned());
        let cause = cause.unwrap_or_else(silent);
        let failures = (0..).zip(self.pictures).filter_map(|(index, account)| match account {
            Outcome::Finished => None,
            Outcome::Failed(error) => Some((index, error)),
            Outcome::Open => Some((index, cause.clone())),
        });
        let failures: Vec<_> = failures.collect();
        match failures.first() {
            Some((_, error)) if !any => Err(error.clone().into()),
            Some(_) | None => Ok(failures.into_iter().map(failure).collect()),
        }
    }

    fn account(&mut self, index: u32) -> Result<&mut Outcome, Error> {
        let n = self.pictures.len();
        let account = usize::try_from(index).ok().and_then(|index| self.pictures.get_mut(index));
        match account {
            Some(account @ Outcome::Open) => Ok(account),
            Some(Outcome::Finished | Outcome::Failed(_)) => {
                Err(ProviderError::Unreadable(format!("picture {index} came twice")).into())
            }
            None => Err(ProviderError::Unreadable(format!("picture {index} came where {n} were asked for")).into()),
        }
    }
}

fn failure((picture_index, error): (u32, ProviderError)) -> pb::ImageFailure {
    tracing::info!(picture = picture_index, %error, "a picture could not be made, others were");
    let name = error.reason().as_str_name().trim_start_matches("ERROR_REASON_");
    pb::ImageFailure { picture_index, code: name.to_ascii_lowercase(), message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> ProviderError {
        ProviderError::ContentPolicy("no".to_owned())
    }

    #[test]
    fn some_pictures_and_some_failures_are_a_success_that_names_the_failures() {
        let mut ledger = Outcomes::new(4);
        ledger.finished(2).unwrap();
        ledger.failed(0, policy()).unwrap();
        ledger.finished(3).unwrap();
        assert!(!ledger.is_settled() && ledger.has_finished());
        let told = ledger.close(Some(ProviderError::Timeout("late".to_owned()))).unwrap();
        let told: Vec<_> = told.iter().map(|f| (f.picture_index, f.code.as_str(), f.message.as_str())).collect();
        assert_eq!(told, [(0, "content_policy_violation", "no"), (1, "upstream_timeout", "late")]);
    }

    #[test]
    fn without_any_picture_the_first_failure_is_the_calls() {
        let mut ledger = Outcomes::new(2);
        ledger.failed(1, policy()).unwrap();
        ledger.failed(0, ProviderError::Timeout("late".to_owned())).unwrap();
        assert!(ledger.is_settled());
        assert_eq!(ledger.close(None), Err(ProviderError::Timeout("late".to_owned()).into()));
        assert!(matches!(Outcomes::new(1).close(None), Err(Error::Provider(ProviderError::Unreadable(_)))));
        assert_eq!(Outcomes::new(1).close(Some(policy())), Err(policy().into()));
    }

    #[test]
    fn pictures_that_were_not_asked_for_or_come_again_are_unreadable() {
        let mut ledger = Outcomes::new(2);
        assert!(ledger.finished(2).is_err() && ledger.preview(u32::MAX).is_err());
        ledger.finished(0).unwrap();
        assert!(ledger.finished(0).is_err() && ledger.failed(0, policy()).is_err() && ledger.preview(0).is_err());
    }

    #[test]
    fn usage_adds_up_until_it_is_told() {
        let mut ledger = Outcomes::new(1);
        assert_eq!(ledger.usage(), None);
        let spent = Usage { input: 10, input_images: 4, output: 5, total: 15 };
        ledger.spent(spent);
        ledger.spent(spent);
        let told = pb::ImageUsage { input_tokens: 20, output_tokens: 10, total_tokens: 30, input_image_tokens: 8 };
        assert_eq!(ledger.usage(), Some(told));
        assert_eq!(ledger.usage(), None);
    }
}
