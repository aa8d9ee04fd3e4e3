//! Edits whose source the provider no longer has: it refuses the submission, a poll confirms that the source is missing, and the
//! stored file is submitted instead.

use super::*;
use crate::{
    error::ProviderError,
    video::{
        provider::Progress,
        testing::{clip, fails},
    },
};

/// Makes the next submission fail with this error, and scripts the reply to the next poll, which asks for the source of the edit.
fn refuse_next(service: &Service, error: ProviderError, source: Reply<Progress>) {
    service.harness.provider.submits.lock().unwrap().push_back(fails(error));
    service.harness.provider.polls.lock().unwrap().push_back(source);
}

fn not_found() -> ProviderError {
    ProviderError::Refused { message: "no such video".to_owned(), field: None }
}

fn missing() -> Reply<Progress> {
    Reply::Return(Ok(Progress::Missing))
}

impl Service {
    /// Edits a video, and waits for the end. Returns the edit, and the calls to the provider up to the last submission or poll of
    /// the source, without the searches, and without the line `context …` that is recorded beside each poll.
    async fn edited(&self, id: &str) -> (pb::Video, Vec<String>) {
        let start = self.harness.provider.calls.borrow().len();
        let edit = self.edit("", by_id(id)).await.unwrap();
        let last = self.watch(&edit.id).await.pop().unwrap();
        let calls = self.harness.provider.calls.borrow()[start..].to_vec();
        let own = format!("poll task of {}", edit.id);
        let before_result = calls.into_iter().take_while(|call| *call != own);
        (last, before_result.filter(|call| !call.starts_with("context") && !call.starts_with("find")).collect())
    }
}

#[tokio::test(start_paused = true)]
async fn stored_file_is_sent_if_the_provider_no_longer_has_the_source() {
    let service = service_with(&sources(true, true));
    let id = service.finished().await;
    for gone in [Progress::Missing, Progress::Cancelled] {
        refuse_next(&service, not_found(), Reply::Return(Ok(gone)));
        let (edit, calls) = service.edited(&id).await;
        let submit = format!("submit {}", edit.id);
        let expected = [
            format!("edit of task of {id}"),
            submit.clone(),
            format!("poll task of {id}"),
            format!("Source of {} bytes", "video".len()),
            "edit of a file".to_owned(),
            submit,
        ];
        assert_eq!((edit.state(), calls), (State::Succeeded, expected.to_vec()));
    }
}

#[tokio::test(start_paused = true)]
async fn file_is_not_sent_if_the_source_exists_or_something_may_have_been_submitted() {
    let service = service_with(&sources(true, true));
    let id = service.finished().await;
    let native = |edit: &pb::Video| vec![format!("edit of task of {id}"), format!("submit {}", edit.id)];
    refuse_next(&service, not_found(), Reply::Return(Ok(Progress::Ready(clip()))));
    let (edit, mut calls) = service.edited(&id).await;
    assert_eq!((edit.state(), calls.pop()), (State::Failed, Some(format!("poll task of {id}"))));
    assert_eq!(calls, native(&edit));
    for error in [
        ProviderError::Broken("status 500".to_owned()),
        ProviderError::Unreadable("no JSON".to_owned()),
        ProviderError::ContentPolicy("no boats".to_owned()),
    ] {
        service.harness.provider.submits.lock().unwrap().push_back(fails(error));
        let (edit, calls) = service.edited(&id).await;
        assert_eq!((edit.state(), calls), (State::Failed, native(&edit)));
    }
}

#[tokio::test(start_paused = true)]
async fn refusal_is_reported_if_there_is_no_file_of_the_source() {
    // The model accepts no files.
    let service = service_with(&sources(true, false));
    let id = service.finished().await;
    refuse_next(&service, not_found(), missing());
    let error = service.edited(&id).await.0.error.unwrap();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("upstream_refused", "no such video"));
    // The source was deleted.
    let service = service_with(&sources(true, true));
    let id = service.finished().await;
    // The first attempt fails, so that the source can be deleted before the second.
    service.harness.provider.submits.lock().unwrap().push_back(fails(ProviderError::unavailable("later")));
    let edit = service.edit("", by_id(&id)).await.unwrap();
    service.harness.provider.wait_for_calls(&format!("submit {}", edit.id), 1).await;
    refuse_next(&service, not_found(), missing());
    service.delete(&id).await.unwrap();
    let error = service.watch(&edit.id).await.pop().unwrap().error.unwrap();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("upstream_refused", "no such video"));
}
