//! How calls end early: broken, late, left, or as somebody asked.

use super::*;

#[tokio::test]
async fn a_call_that_breaks_after_a_picture_hands_that_picture_over() {
    let broken = Err(ProviderError::unavailable("gone".to_owned()));
    let (stage, _) = playing(vec![Ok(finished(1)), broken], false);
    let made = stage.generate(pb::ImageRequest { n: Some(2), ..small() }).await.unwrap();
    let failures: Vec<_> = made.failures.iter().map(|failure| (failure.picture_index, failure.code.as_str())).collect();
    assert_eq!((made.pictures.len(), failures), (1, vec![(0, "upstream_unavailable")]));
}

#[tokio::test]
async fn an_error_after_a_picture_is_the_last_item_of_the_stream() {
    let broken = Err(ProviderError::unavailable("gone".to_owned()));
    let (stage, alarm) = playing(vec![Ok(finished(0)), broken, Ok(finished(1))], true);
    let events: Vec<_> = stage.stream(pb::ImageRequest { n: Some(2), ..small() }, 0).await.collect().await;
    assert!(matches!(&events[..], [Ok(_), Err(status)] if status.code() == Code::Unavailable));
    assert!(*alarm.borrow());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_the_call_and_the_providers_work() {
    for streamed in [false, true] {
        let (stage, alarm) = scripted(Vec::new(), true);
        let begun = Instant::now();
        let status = if streamed {
            let body = pb::StreamImagesRequest { image: Some(small()), ..Default::default() };
            let mut request = Request::new(body);
            request.set_timeout(Duration::from_secs(7));
            let events: Vec<_> = stage.door.stream_images(request).await.unwrap().into_inner().collect().await;
            events.into_iter().next().unwrap().unwrap_err()
        } else {
            stage.door.generate_images(within_seven_seconds(small())).await.unwrap_err()
        };
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(begun.elapsed().as_secs(), 7);
        assert!(*alarm.borrow());
    }
}

fn within_seven_seconds(image: pb::ImageRequest) -> Request<pb::GenerateImagesRequest> {
    let mut request = request(image);
    request.set_timeout(Duration::from_secs(7));
    request
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_the_finished_pictures_are_handed_over_and_the_others_told_as_late() {
    let (stage, alarm) = scripted(vec![finished(2), finished(0)], true);
    let begun = Instant::now();
    let asked = within_seven_seconds(pb::ImageRequest { n: Some(3), ..small() });
    let made = stage.door.generate_images(asked).await.unwrap().into_inner();
    let failures: Vec<_> = made.failures.iter().map(|failure| (failure.picture_index, failure.code.as_str())).collect();
    assert_eq!((made.pictures.len(), failures), (2, vec![(1, "upstream_timeout")]));
    assert!(*alarm.borrow());
    // Not at the last moment, when the transport would throw them away.
    let spent = begun.elapsed();
    assert!(Duration::from_millis(6500) < spent && spent < Duration::from_millis(6900), "{spent:?}");
}

#[tokio::test]
async fn nothing_is_waited_for_behind_the_last_picture() {
    let (stage, alarm) = scripted(vec![finished(0)], true);
    assert_eq!(stage.generate(small()).await.unwrap().pictures.len(), 1);
    assert!(*alarm.borrow());
    let (stage, alarm) = scripted(vec![finished(0)], true);
    let events: Vec<_> = stage.stream(small(), 0).await.try_collect().await.unwrap();
    assert!(events.len() == 1 && *alarm.borrow());
}

#[tokio::test]
async fn hanging_up_ends_the_providers_work() {
    let two = || pb::ImageRequest { n: Some(2), ..small() };
    let (stage, alarm) = scripted(vec![finished(0)], true);
    let mut events = stage.stream(two(), 0).await;
    assert!(events.next().await.unwrap().is_ok());
    assert!(!*alarm.borrow());
    drop(events);
    assert!(*alarm.borrow());
    let (stage, alarm) = scripted(vec![finished(0)], true);
    assert!(stage.generate(two()).now_or_never().is_none());
    assert!(*alarm.borrow());
}

#[tokio::test(start_paused = true)]
async fn faults_happen_on_request() {
    let stage = offline();
    let ask = |model: &str| stage.generate(pb::ImageRequest { model: model.to_owned(), ..small() });
    let status = ask("offline-image-fault-429").await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let retry = status.get_error_details().retry_info().unwrap().retry_delay;
    assert_eq!(retry, Some(Duration::from_secs(2)));
    assert_eq!(ask("offline-image-fault-500").await.unwrap_err().code(), Code::Unavailable);
    let status = ask("offline-image-fault-refused").await.unwrap_err();
    let info = status.get_error_details().error_info().unwrap().reason.clone();
    assert_eq!((status.code(), info.as_str()), (Code::InvalidArgument, "CONTENT_POLICY_VIOLATION"));
    let begun = Instant::now();
    assert_eq!(ask("offline-image-fault-slow").await.unwrap().pictures.len(), 1);
    assert_eq!(begun.elapsed().as_secs(), 10);
}
