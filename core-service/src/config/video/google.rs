//! Which of Google's two APIs, the Gemini API and Vertex AI, serves the video models that both have.

use super::{GeminiVideos, Vertex, Video, VideoServiceType};

impl Video {
    /// Returns the settings of the Gemini API and of Vertex AI, each without the models that the other one serves. If both have a
    /// model, it is that of the service type, otherwise the Gemini API.
    pub fn google(&self) -> (GeminiVideos, Vertex) {
        let (mut gemini, mut vertex) = (self.gemini.clone(), self.vertex.clone());
        if gemini.is_configured() && vertex.is_configured() {
            if self.service_type == VideoServiceType::Vertex {
                gemini.models.retain(|model| !vertex.models.contains(model));
            } else {
                vertex.models.retain(|model| !gemini.models.contains(model));
            }
        }
        (gemini, vertex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_of_both_apis_is_served_by_one() {
        let models = |service_type, has_gemini: bool, has_vertex: bool| {
            let mut video = Video { service_type, ..Video::default() };
            video.gemini.models = vec!["g".to_owned(), "both".to_owned()];
            video.vertex.models = vec!["both".to_owned(), "v".to_owned()];
            video.gemini.api_key = has_gemini.then(|| "k".into());
            video.vertex.credentials = has_vertex.then(|| "k".into());
            let (gemini, vertex) = video.google();
            (gemini.models.join(","), vertex.models.join(","))
        };
        let text = |gemini: &str, vertex: &str| (gemini.to_owned(), vertex.to_owned());
        assert_eq!(models(VideoServiceType::Offline, true, true), text("g,both", "v"));
        assert_eq!(models(VideoServiceType::Gemini, true, true), text("g,both", "v"));
        assert_eq!(models(VideoServiceType::Vertex, true, true), text("g", "both,v"));
        assert_eq!(models(VideoServiceType::Vertex, false, true), text("g,both", "both,v"));
        assert_eq!(models(VideoServiceType::Gemini, true, false), text("g,both", "both,v"));
    }
}
