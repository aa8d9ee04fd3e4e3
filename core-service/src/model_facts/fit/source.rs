//! Fits an edit or an extension of a video to a model. All parameters are those of the source, except for the duration of an
//! extension.

use super::{Adjustments, DEFAULT_SECONDS, FitPolicy, Fitted, ModelFacts, Wanted, fit};
use crate::{error::Error, model_facts::SourceFacts, size::Size};

/// What is known of the video to edit or extend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceVideo {
    /// Its size.
    pub size: Option<Size>,
    /// Its duration in seconds.
    pub seconds: Option<u32>,
    /// Whether it was rendered with a sound track, if its request chose.
    pub generate_audio: Option<bool>,
}

/// Fits an edit, or with `extends` (the facts about extensions) an extension by `seconds`, to a model. The size is the nearest
/// to that of the source. It is not reported as an adjustment, because most providers return the exact size of the source.
///
/// # Errors
/// [`Error::InvalidField`] with [`FitPolicy::Strict`] for a requested duration that the model does not accept.
pub fn fit_source(
    facts: &ModelFacts,
    model: &str,
    source: SourceVideo,
    extends: Option<&SourceFacts>,
    seconds: Option<u32>,
    policy: FitPolicy,
) -> Result<Fitted, Error> {
    let SourceVideo { size, seconds: source_seconds, generate_audio } = source;
    // Encoders require even sides.
    let size = size.map(|size| Size::new(size.width & !1, size.height & !1));
    let wanted = Wanted { size, seconds: source_seconds, generate_audio, ..Wanted::default() };
    let fitted = fit(facts, model, wanted, FitPolicy::Nearest)?;
    let mut adjustments = Adjustments { model, policy, list: Vec::new() };
    let seconds = match extends {
        None => source_seconds.unwrap_or(fitted.seconds),
        Some(extends) => {
            // The part of the duration that is not the extension.
            let counted = if extends.counts_source { source_seconds.unwrap_or_default() } else { 0 };
            let requested = seconds.unwrap_or(DEFAULT_SECONDS).saturating_add(counted);
            let nearest = extends.seconds.nearest(requested);
            if seconds.is_some() && nearest != requested {
                let added = nearest.saturating_sub(counted);
                adjustments.add("duration_seconds", (requested - counted).to_string(), added.to_string())?;
            }
            nearest
        }
    };
    Ok(Fitted { seconds, adjustments: adjustments.list, ..fitted })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_facts::{Durations, FactsTable};

    const SOURCE: SourceVideo =
        SourceVideo { size: Some(Size::new(1280, 721)), seconds: Some(8), generate_audio: Some(false) };

    /// Fits an extension of [`SOURCE`]. Returns its duration, and the values that were adjusted.
    fn extension(extends: &SourceFacts, seconds: Option<u32>, policy: FitPolicy) -> Result<(u32, Vec<String>), Error> {
        let facts = FactsTable::default().find("seedance", "seedance-2-5");
        let fitted = fit_source(&facts, "m", SOURCE, Some(extends), seconds, policy)?;
        assert_eq!((fitted.resolution.as_str(), fitted.aspect_ratio.as_str()), ("720p", "16:9"));
        Ok((fitted.seconds, fitted.adjustments.into_iter().map(|adjustment| adjustment.used).collect()))
    }

    #[test]
    fn edit_keeps_the_size_and_duration_of_its_source() {
        let facts = FactsTable::default().find("offline", "offline-video");
        let fitted = fit_source(&facts, "m", SOURCE, None, None, FitPolicy::Strict).unwrap();
        assert_eq!((fitted.size, fitted.seconds, fitted.adjustments), (Size::new(1280, 720), 8, Vec::new()));
    }

    #[test]
    fn extension_gets_the_nearest_duration_of_the_model() {
        let extends = SourceFacts { seconds: Durations::Values(vec![4, 7]), ..SourceFacts::default() };
        assert_eq!(extension(&extends, None, FitPolicy::Strict), Ok((4, Vec::new())));
        assert_eq!(extension(&extends, Some(7), FitPolicy::Strict), Ok((7, Vec::new())));
        assert_eq!(extension(&extends, Some(20), FitPolicy::Nearest), Ok((7, vec!["7".to_owned()])));
        assert!(matches!(
            extension(&extends, Some(20), FitPolicy::Strict),
            Err(Error::InvalidField { field, .. }) if field == "duration_seconds"
        ));
    }

    #[test]
    fn duration_of_the_whole_video_includes_the_source() {
        let seconds = Durations::Range { min: 2, max: 15 };
        let extends = SourceFacts { seconds, counts_source: true, ..SourceFacts::default() };
        assert_eq!(extension(&extends, Some(5), FitPolicy::Strict), Ok((13, Vec::new())));
        assert_eq!(extension(&extends, Some(10), FitPolicy::Nearest), Ok((15, vec!["7".to_owned()])));
    }
}
