//! Who is answered in gzip.

use tonic::codec::CompressionEncoding::Gzip;
use triptych_proto::v1::{
    self as pb, chat_service_client::ChatServiceClient, image_service_client::ImageServiceClient,
    model_service_client::ModelServiceClient, video_service_client::VideoServiceClient,
};

use super::{Served, says};

/// How the answer to a call came.
fn encoding<T>(answer: &tonic::Response<T>) -> Option<String> {
    Some(answer.metadata().get("grpc-encoding")?.to_str().unwrap().to_owned())
}

/// The answers to one call of each kind, asked with a client set up like this.
macro_rules! answers {
    ($served:expr, $($how:ident)*) => {{
        let channel = || $served.channel();
        let mut chat = ChatServiceClient::new(channel().await)$(.$how(Gzip))*;
        let mut image = ImageServiceClient::new(channel().await)$(.$how(Gzip))*;
        let mut video = VideoServiceClient::new(channel().await)$(.$how(Gzip))*;
        let mut model = ModelServiceClient::new(channel().await)$(.$how(Gzip))*;
        let said = Some(says("", "Hello"));
        let whole = pb::CreateChatRequest { chat: said.clone(), ..Default::default() };
        let stream = pb::StreamChatRequest { chat: said, ..Default::default() };
        let picture = pb::ImageRequest { prompt: "a".to_owned(), size: "64x64".to_owned(), ..Default::default() };
        let picture = pb::GenerateImagesRequest { image: Some(picture), ..Default::default() };
        let mut streamed = chat.stream_chat(stream).await.unwrap();
        while streamed.get_mut().message().await.unwrap().is_some() {}
        [
            encoding(&chat.create_chat(whole).await.unwrap()),
            encoding(&video.list_videos(pb::ListVideosRequest::default()).await.unwrap()),
            encoding(&model.list_models(pb::ListModelsRequest::default()).await.unwrap()),
            encoding(&streamed),
            encoding(&image.generate_images(picture).await.unwrap()),
        ]
    }};
}

#[tokio::test]
async fn whoever_compresses_gets_whole_texts_compressed_and_nobody_else_anything() {
    let served = Served::new(|settings| settings.offline.chat_tokens_per_second = 0).await;
    let gzip = || Some("gzip".to_owned());
    assert_eq!(answers!(served, accept_compressed send_compressed), [gzip(), gzip(), gzip(), None, None]);
    // What most clients do with every call.
    assert_eq!(answers!(served, accept_compressed), [None, None, None, None, None]);
    assert_eq!(answers!(served, send_compressed), [None, None, None, None, None], "they could not read it");
    assert_eq!(answers!(served,), [None, None, None, None, None]);
    served.end().await;
}

#[tokio::test]
async fn a_compressed_answer_is_smaller_on_the_wire() {
    let served = Served::new(|_| {}).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let list = async |given: &'static str| {
        let request = client.post(format!("http://{}/triptych.v1.ModelService/ListModels", served.address));
        let request = request.header("content-type", "application/grpc").header("grpc-accept-encoding", "gzip");
        // An empty message is sent as it is, whatever the caller does with longer ones.
        let answer = request.header("grpc-encoding", given).body([0; 5].as_slice()).send().await.unwrap();
        answer.bytes().await.unwrap()
    };
    let (plain, compressed) = (list("identity").await, list("gzip").await);
    assert_eq!((plain[0], compressed[0]), (0, 1), "the flag of a message");
    assert!(compressed.len() < plain.len(), "{} of {} bytes", compressed.len(), plain.len());
    drop(client);
    served.end().await;
}
