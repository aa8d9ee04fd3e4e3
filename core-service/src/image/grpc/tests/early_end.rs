//! Calls that end early: provider errors, deadlines, client disconnects and injected faults.

use super::*;

#[tokio::test]
async fn error_after_a_finished_image_returns_that_image() {
    let broken = Err(ProviderError::unavailable("gone".to_owned()));
    let (test, _) = scripted_results(vec![Ok(finished(1)), broken], End::Closes);
    let response = test.generate(pb::ImageRequest { n: Some(2), ..small() }).await.unwrap();
    let failures: Vec<_> =
        response.failures.iter().map(|failure| (failure.picture_index, failure.code.as_str())).collect();
    assert_eq!((response.pictures.len(), failures), (1, vec![(0, "upstream_unavailable")]));
}

#[tokio::test]
async fn error_after_a_finished_image_ends_the_stream() {
    let broken = Err(ProviderError::unavailable("gone".to_owned()));
    let (test, was_dropped) = scripted_results(vec![Ok(finished(0)), broken, Ok(finished(1))], End::Hangs);
    let events: Vec<_> = test.stream(pb::ImageRequest { n: Some(2), ..small() }, 0).await.collect().await;
    assert!(matches!(&events[..], [Ok(_), Err(status)] if status.code() == Code::Unavailable));
    assert!(*was_dropped.borrow());
}

#[tokio::test(start_paused = true)]
async fn deadline_ends_the_call_and_cancels_the_provider() {
    for streamed in [false, true] {
        let (test, was_dropped) = scripted(Vec::new(), End::Hangs);
        let started = Instant::now();
        let status = if streamed {
            let body = pb::StreamImagesRequest { image: Some(small()), ..Default::default() };
            let mut request = Request::new(body);
            request.set_timeout(Duration::from_secs(7));
            let events: Vec<_> = test.service.stream_images(request).await.unwrap().into_inner().collect().await;
            events.into_iter().next().unwrap().unwrap_err()
        } else {
            test.service.generate_images(within_seven_seconds(small())).await.unwrap_err()
        };
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(started.elapsed().as_secs(), 7);
        assert!(*was_dropped.borrow());
    }
}

fn within_seven_seconds(image: pb::ImageRequest) -> Request<pb::GenerateImagesRequest> {
    let mut request = request(image);
    request.set_timeout(Duration::from_secs(7));
    request
}

#[tokio::test(start_paused = true)]
async fn finished_images_are_returned_shortly_before_the_deadline() {
    let (test, was_dropped) = scripted(vec![finished(2), finished(0)], End::Hangs);
    let started = Instant::now();
    let request = within_seven_seconds(pb::ImageRequest { n: Some(3), ..small() });
    let response = test.service.generate_images(request).await.unwrap().into_inner();
    let failures: Vec<_> =
        response.failures.iter().map(|failure| (failure.picture_index, failure.code.as_str())).collect();
    assert_eq!((response.pictures.len(), failures), (2, vec![(1, "upstream_timeout")]));
    assert!(*was_dropped.borrow());
    // Early enough to arrive before the deadline of 7 s: the margin is a twentieth.
    let elapsed = started.elapsed();
    assert!(Duration::from_millis(6500) < elapsed && elapsed < Duration::from_millis(6900), "{elapsed:?}");
}

#[tokio::test]
async fn call_ends_with_the_last_image() {
    let (test, was_dropped) = scripted(vec![finished(0)], End::Hangs);
    assert_eq!(test.generate(small()).await.unwrap().pictures.len(), 1);
    assert!(*was_dropped.borrow());
    let (test, was_dropped) = scripted(vec![finished(0)], End::Hangs);
    let events: Vec<_> = test.stream(small(), 0).await.try_collect().await.unwrap();
    assert!(events.len() == 1 && *was_dropped.borrow());
}

#[tokio::test]
async fn client_disconnect_cancels_the_provider() {
    let two = || pb::ImageRequest { n: Some(2), ..small() };
    let (test, was_dropped) = scripted(vec![finished(0)], End::Hangs);
    let mut events = test.stream(two(), 0).await;
    assert!(events.next().await.unwrap().is_ok());
    assert!(!*was_dropped.borrow());
    drop(events);
    assert!(*was_dropped.borrow());
    let (test, was_dropped) = scripted(vec![finished(0)], End::Hangs);
    assert!(test.generate(two()).now_or_never().is_none());
    assert!(*was_dropped.borrow());
}

#[tokio::test(start_paused = true)]
async fn fault_models_return_their_faults() {
    let test = offline();
    let call = |model: &str| test.generate(pb::ImageRequest { model: model.to_owned(), ..small() });
    let status = call("offline-image-fault-429").await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let retry = status.get_error_details().retry_info().unwrap().retry_delay;
    assert_eq!(retry, Some(Duration::from_secs(2)));
    assert_eq!(call("offline-image-fault-500").await.unwrap_err().code(), Code::Unavailable);
    let status = call("offline-image-fault-refused").await.unwrap_err();
    let info = status.get_error_details().error_info().unwrap().reason.clone();
    assert_eq!((status.code(), info.as_str()), (Code::InvalidArgument, "CONTENT_POLICY_VIOLATION"));
    let started = Instant::now();
    assert_eq!(call("offline-image-fault-slow").await.unwrap().pictures.len(), 1);
    assert_eq!(started.elapsed().as_secs(), 10);
}

/// A provider whose generation never begins.
#[derive(Debug)]
struct Stalled;

#[async_trait]
impl ImageProvider for Stalled {
    async fn generate(&self, _: Call<ImageParameters>) -> Result<Chunks<ImageEvent>, ProviderError> {
        std::future::pending().await
    }

    fn edits(&self, _: &str) -> Edits {
        Edits::NONE
    }
}

#[tokio::test(start_paused = true)]
async fn stream_is_returned_before_the_provider_answers() {
    let mut entries = offline::entries(PictureBudget::default());
    entries.truncate(1);
    entries[0].provider = Arc::new(Stalled);
    let test = service(entries);
    // Only with a key, the response is shared with repeated requests.
    for idempotency_key in ["", "k"] {
        let request = |image| pb::StreamImagesRequest {
            image: Some(image),
            idempotency_key: idempotency_key.to_owned(),
            partial_images: 0,
        };
        let call = test.service.stream_images(Request::new(request(small())));
        let mut events = tokio::time::timeout(Duration::from_secs(1), call).await.unwrap().unwrap().into_inner();
        assert!(tokio::time::timeout(Duration::from_mins(1), events.next()).await.is_err());
        // Validation errors are the status of the call.
        let invalid = request(pb::ImageRequest { size: "100x".to_owned(), ..small() });
        assert_eq!(
            test.service.stream_images(Request::new(invalid)).await.err().unwrap().code(),
            Code::InvalidArgument
        );
        let unknown = request(pb::ImageRequest { model: "no-such-model".to_owned(), ..small() });
        assert_eq!(test.service.stream_images(Request::new(unknown)).await.err().unwrap().code(), Code::NotFound);
    }
}
