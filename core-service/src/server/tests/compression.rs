//! Which responses are compressed with gzip.

use tonic::codec::CompressionEncoding::Gzip;
use triptych_proto::v1::{
    self as pb, chat_service_client::ChatServiceClient, image_service_client::ImageServiceClient,
    model_service_client::ModelServiceClient, video_service_client::VideoServiceClient,
};

use super::{TestServer, chat_request};

/// Returns the encoding of a response.
fn encoding<T>(response: &tonic::Response<T>) -> Option<String> {
    Some(response.metadata().get("grpc-encoding")?.to_str().unwrap().to_owned())
}

/// Returns the encodings of one response of each kind, for clients with these options.
macro_rules! encodings {
    ($server:expr, $($option:ident)*) => {{
        let channel = || $server.channel();
        let mut chat = ChatServiceClient::new(channel().await)$(.$option(Gzip))*;
        let mut image = ImageServiceClient::new(channel().await)$(.$option(Gzip))*;
        let mut video = VideoServiceClient::new(channel().await)$(.$option(Gzip))*;
        let mut model = ModelServiceClient::new(channel().await)$(.$option(Gzip))*;
        let request = Some(chat_request("", "Hello"));
        let non_streaming = pb::CreateChatRequest { chat: request.clone(), ..Default::default() };
        let streaming = pb::StreamChatRequest { chat: request, ..Default::default() };
        let picture = pb::ImageRequest { prompt: "a".to_owned(), size: "64x64".to_owned(), ..Default::default() };
        let picture = pb::GenerateImagesRequest { image: Some(picture), ..Default::default() };
        let mut stream = chat.stream_chat(streaming).await.unwrap();
        while stream.get_mut().message().await.unwrap().is_some() {}
        [
            encoding(&chat.create_chat(non_streaming).await.unwrap()),
            encoding(&video.list_videos(pb::ListVideosRequest::default()).await.unwrap()),
            encoding(&model.list_models(pb::ListModelsRequest::default()).await.unwrap()),
            encoding(&stream),
            encoding(&image.generate_images(picture).await.unwrap()),
        ]
    }};
}

#[tokio::test]
async fn text_responses_are_compressed_only_for_clients_that_compress_and_accept_gzip() {
    let server = TestServer::start(|settings| settings.offline.chat_tokens_per_second = 0).await;
    let gzip = || Some("gzip".to_owned());
    assert_eq!(encodings!(server, accept_compressed send_compressed), [gzip(), gzip(), gzip(), None, None]);
    // The default of most clients.
    assert_eq!(encodings!(server, accept_compressed), [None, None, None, None, None]);
    assert_eq!(encodings!(server, send_compressed), [None, None, None, None, None]);
    assert_eq!(encodings!(server,), [None, None, None, None, None]);
    server.stop().await;
}

#[tokio::test]
async fn a_compressed_response_is_smaller_on_the_wire() {
    let server = TestServer::start(|_| {}).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let list = async |encoding: &'static str| {
        let request = client.post(format!("http://{}/triptych.v1.ModelService/ListModels", server.address));
        let request = request.header("content-type", "application/grpc").header("grpc-accept-encoding", "gzip");
        // The prefix of an empty message, which is never compressed, whatever the request header says.
        let response = request.header("grpc-encoding", encoding).body([0; 5].as_slice()).send().await.unwrap();
        response.bytes().await.unwrap()
    };
    let (plain, compressed) = (list("identity").await, list("gzip").await);
    assert_eq!((plain[0], compressed[0]), (0, 1), "the compressed flag of the message");
    assert!(compressed.len() < plain.len(), "{} of {} bytes", compressed.len(), plain.len());
    drop(client);
    server.stop().await;
}
