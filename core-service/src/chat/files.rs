//! Downloads the files that messages name by URL: upstreams take only the content.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::future::try_join_all;
use openai_dialect::remove_member;
use triptych_proto::v1::{self as pb, chat_message::Content, content_part::Part};
use url::Url;

use crate::{
    error::Error,
    media::{
        PictureBudget,
        budget::InputReservation,
        fetch::{Fetched, Fetcher},
        input::InputSettings,
    },
};

/// The most files that are downloaded for a request. All are downloaded at the same time.
const MAX_FILES: usize = 16;

/// Downloads the files of messages. Clones share the HTTP client and the memory budget.
#[derive(Debug, Clone)]
pub struct ChatFiles {
    fetcher: Fetcher,
    budget: PictureBudget,
}

/// The memory that is reserved for the downloaded files of a request. It is released when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct FileMemory {
    _reservations: Vec<InputReservation>,
}

impl ChatFiles {
    /// Returns a downloader with the limits of input media.
    ///
    /// # Errors
    /// [`Error::Internal`] if no HTTP client can be built.
    pub fn new(settings: InputSettings, budget: PictureBudget) -> Result<Self, Error> {
        Ok(Self { fetcher: Fetcher::new(settings.fetch_settings())?, budget })
    }

    /// Replaces each `file_url` by the content as `file_data`, a `data:` URL, and sets a missing `filename` by the URL.
    ///
    /// # Errors
    /// [`Error::InvalidField`] naming the `file_url` whose file cannot be downloaded; [`Error::LimitReached`] if the inputs of all
    /// requests take too much memory. The request is then unchanged.
    pub(crate) async fn download(&self, chat: &mut pb::ChatRequest) -> Result<FileMemory, Error> {
        let urls = named_files(chat).filter(|(_, file)| file.file_url.is_some()).count();
        if urls == 0 {
            return Ok(FileMemory::default());
        }
        if urls > MAX_FILES {
            let message = format!("at most {MAX_FILES} files are downloaded for a request, and this one names {urls}");
            return Err(Error::invalid("messages", message));
        }
        let downloads = named_files(chat).filter_map(|(field, file)| {
            let url = file.file_url.as_deref()?;
            Some(async move { self.data_url(&field, url).await })
        });
        let downloaded = try_join_all(downloads).await?;
        let mut reservations = Vec::with_capacity(downloaded.len());
        let files = files_mut(chat).filter(|file| file.file_url.is_some());
        for (file, (data_url, memory)) in files.zip(downloaded) {
            let url = file.file_url.take().unwrap_or_default();
            file.file_data = Some(data_url);
            file.filename.get_or_insert_with(|| name_of(&url));
            // An explicit `null` of the client is kept there, and would repeat the member.
            for name in ["file_data", "filename"] {
                remove_member(&mut file.extra_json, name);
            }
            reservations.push(memory);
        }
        Ok(FileMemory { _reservations: reservations })
    }

    async fn data_url(&self, field: &str, url: &str) -> Result<(String, InputReservation), Error> {
        let fetched = self.fetcher.fetch(field, url, self.budget.input()).await;
        let Fetched { body, media_type } = fetched.map_err(|error| {
            let Error::InvalidField { field, message } = error else { return error };
            match Url::parse(url).ok().and_then(without_secrets) {
                Some(url) => Error::invalid(field, format!("{message} ({url})")),
                None => Error::invalid(field, message),
            }
        })?;
        // Servers of files often name no type, or a wrong one.
        let media_type = match media_type {
            _ if body.starts_with(b"%PDF-") => "application/pdf".to_owned(),
            Some(media_type) => media_type,
            None => "application/octet-stream".to_owned(),
        };
        let mut data_url = format!("data:{media_type};base64,");
        let encoded = base64::encoded_len(body.len(), true).unwrap_or(usize::MAX);
        let mut memory = self.budget.input();
        memory.grow(data_url.len().saturating_add(encoded))?;
        data_url.reserve_exact(encoded);
        STANDARD.encode_string(&body, &mut data_url);
        Ok((data_url, memory))
    }
}

/// Returns the files in the messages, each with the path of its `file_url`.
fn named_files(chat: &pb::ChatRequest) -> impl Iterator<Item = (String, &pb::FilePart)> {
    chat.messages.iter().enumerate().flat_map(|(message_index, message)| {
        let parts = match &message.content {
            Some(Content::Parts(pb::ContentParts { parts })) => parts.as_slice(),
            Some(Content::Text(_)) | None => &[],
        };
        parts.iter().enumerate().filter_map(move |(index, part)| match &part.part {
            Some(Part::File(file)) => Some((format!("messages[{message_index}].content[{index}].file.file_url"), file)),
            Some(_) | None => None,
        })
    })
}

/// Returns the files in the messages, in the order of [`named_files`].
fn files_mut(chat: &mut pb::ChatRequest) -> impl Iterator<Item = &mut pb::FilePart> {
    chat.messages.iter_mut().flat_map(|message| {
        let parts = match &mut message.content {
            Some(Content::Parts(pb::ContentParts { parts })) => parts.as_mut_slice(),
            Some(Content::Text(_)) | None => &mut [],
        };
        parts.iter_mut().filter_map(|part| match &mut part.part {
            Some(Part::File(file)) => Some(file),
            Some(_) | None => None,
        })
    })
}

/// Returns a URL without user name, password and query, for messages.
fn without_secrets(mut url: Url) -> Option<Url> {
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    url.set_query(None);
    url.set_fragment(None);
    Some(url)
}

/// Returns the last segment of the path of a URL, or `file`.
fn name_of(url: &str) -> String {
    let url = Url::parse(url).ok();
    let name = url.as_ref().and_then(|url| url.path_segments()?.next_back()).filter(|name| !name.is_empty());
    name.unwrap_or("file").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{
        address_policy::AddressPolicy,
        fetch::FetchSettings,
        testing::{ok, serve},
    };

    fn files(settings: InputSettings) -> ChatFiles {
        let fetch = FetchSettings { address_policy: AddressPolicy::OPEN, ..FetchSettings::default() };
        ChatFiles::new(InputSettings { fetch, ..settings }, PictureBudget::default()).unwrap()
    }

    fn part(part: Part) -> pb::ContentPart {
        pb::ContentPart { part: Some(part), extra_json: String::new() }
    }

    fn file(url: &str) -> pb::FilePart {
        pb::FilePart { file_url: Some(url.to_owned()), ..pb::FilePart::default() }
    }

    /// A request with a text message and then one with these files after a text.
    fn request(files: &[pb::FilePart]) -> pb::ChatRequest {
        let parts = std::iter::once(part(Part::Text("Read".to_owned())))
            .chain(files.iter().map(|file| part(Part::File(file.clone()))))
            .collect();
        let messages = [Content::Text("Hi".to_owned()), Content::Parts(pb::ContentParts { parts })];
        let message = |content| pb::ChatMessage { content: Some(content), ..pb::ChatMessage::default() };
        pb::ChatRequest { messages: messages.map(message).to_vec(), ..pb::ChatRequest::default() }
    }

    fn files_of(chat: &pb::ChatRequest) -> Vec<pb::FilePart> {
        named_files(chat).map(|(_, file)| file.clone()).collect()
    }

    #[tokio::test]
    async fn urls_become_data_urls_with_type_and_name() {
        let url = serve(|request| match request.path() {
            "/docs/a.pdf?signature=1" => ok(b"%PDF-1.7"),
            "/b" => {
                b"HTTP/1.1 200 OK\r\ncontent-type: Text/Plain; charset=utf-8\r\ncontent-length: 2\r\n\r\nhi".to_vec()
            }
            _ => ok(b"?"),
        })
        .await;
        let nulls = r#"{"file_data":null,"filename":null,"x":1}"#.to_owned();
        let with_nulls = pb::FilePart { extra_json: nulls, ..file(&format!("{url}/n")) };
        let given = pb::FilePart { file_data: Some("data:,x".to_owned()), ..pb::FilePart::default() };
        let named = pb::FilePart { filename: Some("c.txt".to_owned()), ..file(&format!("{url}/b")) };
        let mut chat = request(&[
            file(&format!("{url}/docs/a.pdf?signature=1")),
            given.clone(),
            named,
            file(&format!("{url}/")),
            with_nulls,
        ]);
        files(InputSettings::default()).download(&mut chat).await.unwrap();
        let expected = |data: &str, name: &str| pb::FilePart {
            file_data: Some(data.to_owned()),
            filename: Some(name.to_owned()),
            ..pb::FilePart::default()
        };
        assert_eq!(
            files_of(&chat),
            [
                expected("data:application/pdf;base64,JVBERi0xLjc=", "a.pdf"),
                given,
                expected("data:text/plain;base64,aGk=", "c.txt"),
                expected("data:application/octet-stream;base64,Pw==", "file"),
                pb::FilePart {
                    extra_json: r#"{"x":1}"#.to_owned(),
                    ..expected("data:application/octet-stream;base64,Pw==", "n")
                },
            ]
        );
    }

    #[tokio::test]
    async fn file_that_cannot_be_downloaded_is_named_and_the_request_is_unchanged() {
        let url = serve(|request| match request.path() {
            "/large" => ok(&[0; 11]),
            "/10" => ok(&[0; 10]),
            _ => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
        })
        .await;
        let downloads = files(InputSettings { max_bytes: 10, ..InputSettings::default() });
        let secret = url.replace("http://", "http://user:key=1@");
        for (url_of_second, reason) in [
            (format!("{url}/large"), "more than 10 bytes"),
            (format!("{url}/none?key=1"), "404"),
            (format!("{secret}/none"), "404"),
            ("key=1".to_owned(), "invalid"),
        ] {
            let before = request(&[file(&format!("{url}/10")), file(&url_of_second)]);
            let mut chat = before.clone();
            let error = downloads.download(&mut chat).await.unwrap_err();
            let Error::InvalidField { field, message } = error else { panic!("{error:?}") };
            assert_eq!(field, "messages[1].content[2].file.file_url");
            assert!(message.contains(reason) && !message.contains("key=1"), "{message}");
            assert_eq!(chat, before);
        }
        let many = vec![file(&url); MAX_FILES + 1];
        let error = downloads.download(&mut request(&many)).await.unwrap_err();
        assert!(error.to_string().contains("at most 16 files"), "{error}");
    }

    #[tokio::test]
    async fn memory_of_the_encoded_files_is_reserved_until_it_is_dropped() {
        let url = serve(|_| ok(&[0; 3000])).await;
        let settings = crate::config::Media { input_memory_bytes: 8 << 10, ..crate::config::Media::default() };
        let downloads = ChatFiles { budget: PictureBudget::new(&settings), ..files(InputSettings::default()) };
        let memory = downloads.download(&mut request(&[file(&url)])).await.unwrap();
        // 4 KiB of base64 are reserved, and each download needs another 3 KiB.
        let error = downloads.download(&mut request(&[file(&url), file(&url)])).await.unwrap_err();
        assert!(matches!(error, Error::LimitReached(_)), "{error}");
        drop(memory);
        downloads.download(&mut request(&[file(&url)])).await.unwrap();
    }
}
