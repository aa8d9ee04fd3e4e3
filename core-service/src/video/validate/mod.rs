//! Validation of video requests, the same for both APIs.

mod create;
mod derived;
mod inputs;

use triptych_proto::v1::{self as pb, video::State};

pub(super) use self::{
    create::{NewVideo, check_seconds, parse_size, remix_extra, validate_create},
    derived::{DerivedVideo, RequestedSource, SOURCE_FIELD, validate_edit, validate_extend},
    inputs::{RequestedInput, check_can_generate, check_inputs, is_provider_uri},
};
use super::{job::JobId, provider::Variant, state::Phase, store::Page};
use crate::{
    error::Error,
    keys::{Caller, Owner, Owners},
    page_size,
};

/// Returns the owners whose jobs a list contains.
///
/// # Errors
/// [`Error::PermissionDenied`] for an owner whose jobs the caller may not see.
pub(super) fn owners(requested: Option<&str>, caller: &Caller) -> Result<Owners, Error> {
    let Some(requested) = requested.map(Owner::new) else { return Ok(caller.owners()) };
    if !caller.owners().include(&requested) {
        let message =
            "owner: an API key sees its own videos only; leave the owner out, or use the key of an administrator";
        return Err(Error::PermissionDenied(message.to_owned()));
    }
    Ok(Owners::Only(requested))
}

/// Parses a page request.
pub(super) fn parse_page(request: &pb::ListVideosRequest, caller: &Caller) -> Result<Page, Error> {
    let pb::ListVideosRequest { page_size, page_token, order, owner, states, model } = request;
    let owners = owners(owner.as_deref(), caller)?;
    let limit = page_size::validate_or_empty(*page_size)?;
    let after = match page_token.as_str() {
        "" => None,
        id => Some(JobId::parse(id).ok_or_else(|| {
            Error::invalid("page_token", "must be the `next_page_token` of the previous page, or the id of a video")
        })?),
    };
    let oldest_first = match pb::VideoOrder::try_from(*order) {
        Ok(pb::VideoOrder::Unspecified | pb::VideoOrder::NewestFirst) => false,
        Ok(pb::VideoOrder::OldestFirst) => true,
        Err(_) => return Err(Error::invalid("order", "must be NEWEST_FIRST or OLDEST_FIRST")),
    };
    let phases = states.iter().map(|&state| parse_phase(state)).collect::<Result<_, _>>()?;
    Ok(Page { limit, after, oldest_first, owners, phases, model: model.clone() })
}

/// Parses the state of a filter.
fn parse_phase(state: i32) -> Result<Phase, Error> {
    match State::try_from(state) {
        Ok(State::Queued) => Ok(Phase::Queued),
        Ok(State::Submitting) => Ok(Phase::Submitting),
        Ok(State::Rendering) => Ok(Phase::Rendering),
        Ok(State::Storing) => Ok(Phase::Storing),
        Ok(State::Succeeded) => Ok(Phase::Succeeded),
        Ok(State::Failed) => Ok(Phase::Failed),
        Ok(State::Cancelled) => Ok(Phase::Cancelled),
        Ok(State::Unspecified) | Err(_) => {
            let message = "must be QUEUED, SUBMITTING, RENDERING, STORING, SUCCEEDED, FAILED or CANCELLED";
            Err(Error::invalid("states", message))
        }
    }
}

/// Parses the variant of a download.
pub(super) fn parse_variant(value: i32) -> Result<Variant, Error> {
    match pb::VideoVariant::try_from(value) {
        Ok(pb::VideoVariant::Unspecified | pb::VideoVariant::Video) => Ok(Variant::Video),
        Ok(pb::VideoVariant::Thumbnail) => Ok(Variant::Thumbnail),
        Ok(pb::VideoVariant::Spritesheet) => Ok(Variant::Spritesheet),
        Err(_) => Err(Error::invalid("variant", "must be VIDEO, THUMBNAIL or SPRITESHEET")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn refused_field<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
        match result {
            Err(Error::InvalidField { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_administrators_and_the_anonymous_caller_choose_an_owner() {
        let one = Caller::named("one");
        let only = |name: &str| Ok(Owners::Only(Owner::new(name)));
        assert_eq!(owners(None, &one), only("one"));
        assert_eq!(owners(Some("one"), &one), only("one"));
        for other in ["two", ""] {
            assert!(matches!(owners(Some(other), &one), Err(Error::PermissionDenied(_))), "{other}");
        }
        assert_eq!(owners(None, &Caller::default()), Ok(Owners::All));
        assert_eq!(owners(Some("two"), &Caller::default()), only("two"));
    }

    #[test]
    fn page_size_token_order_and_states_are_validated() {
        let (newest_first, oldest_first) = (pb::VideoOrder::NewestFirst.into(), pb::VideoOrder::OldestFirst.into());
        let unknown_order = 3;
        let list = |request: pb::ListVideosRequest| parse_page(&request, &Caller::default());
        let page = |limit, after: &str, order| {
            let page_token = after.to_owned();
            list(pb::ListVideosRequest { page_size: limit, page_token, order, ..pb::ListVideosRequest::default() })
        };
        assert_eq!(page(None, "", newest_first).unwrap(), Page { limit: 20, ..Page::default() });
        assert_eq!(page(Some(0), "", oldest_first).unwrap(), Page { oldest_first: true, ..Page::default() });
        assert_eq!(refused_field(page(Some(101), "", newest_first)), "page_size");
        assert_eq!(refused_field(page(None, "video_1", newest_first)), "page_token");
        assert_eq!(refused_field(page(None, "", unknown_order)), "order");
        let states = |states| list(pb::ListVideosRequest { states, ..pb::ListVideosRequest::default() });
        assert_eq!(states((1..=7).collect()).unwrap().phases.len(), 7);
        for unknown in [0, 8] {
            assert_eq!(refused_field(states(vec![1, unknown])), "states");
        }
    }
}
