//! Pages of the input items of a response.

use openai_dialect::responses::Item;
use triptych_proto::v1 as pb;

use super::history::parse_items;
use crate::{error::Error, page_size};

/// Returns one page of a JSON array of items.
///
/// # Errors
/// [`Error::InvalidField`] for an invalid size or an item that is not in the array; [`Error::Storage`].
pub(super) fn page(items: &str, request: &pb::ListInputItemsRequest) -> Result<pb::ListInputItemsResponse, Error> {
    let size = page_size::validate(request.page_size)? as usize;
    let mut items = parse_items(items)?;
    match request.order() {
        pb::ItemOrder::Unspecified | pb::ItemOrder::Descending => items.reverse(),
        pb::ItemOrder::Ascending => {}
    }
    let first = match request.page_token.as_str() {
        "" => 0,
        after => {
            let known = items.iter().position(|item| item.id() == after);
            1 + known.ok_or_else(|| Error::invalid("page_token", "must be the id of an input item of the response"))?
        }
    };
    let mut page = items.split_off(first);
    let has_more = page.len() > size;
    page.truncate(size);
    let next_page_token = page.last().filter(|_| has_more).map(|item| item.id().to_owned()).unwrap_or_default();
    let items_json = page.iter().map(Item::to_json).map(str::to_owned).collect();
    Ok(pb::ListInputItemsResponse { items_json, next_page_token })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(request: &pb::ListInputItemsRequest) -> Result<(Vec<String>, String), Error> {
        let items: Vec<_> = (0..5).map(|n| format!(r#"{{"id":"msg_{n}","type":"message"}}"#)).collect();
        let page = page(&format!("[{}]", items.join(",")), request)?;
        let id = |json: &String| Item::from_json(json).unwrap().id().to_owned();
        Ok((page.items_json.iter().map(id).collect(), page.next_page_token))
    }

    #[test]
    fn pages_continue_after_an_item_in_either_order() {
        let request = pb::ListInputItemsRequest { page_size: Some(2), ..Default::default() };
        let (first, token) = ids(&request).unwrap();
        assert_eq!((first, token.as_str()), (vec!["msg_4".to_owned(), "msg_3".to_owned()], "msg_3"));
        let ascending = pb::ListInputItemsRequest {
            page_token: "msg_2".to_owned(),
            order: pb::ItemOrder::Ascending.into(),
            ..request.clone()
        };
        assert_eq!(ids(&ascending).unwrap(), (vec!["msg_3".to_owned(), "msg_4".to_owned()], String::new()));
        for wrong in [
            pb::ListInputItemsRequest { page_size: Some(0), ..request.clone() },
            pb::ListInputItemsRequest { page_size: Some(101), ..request.clone() },
            pb::ListInputItemsRequest { page_token: "msg_9".to_owned(), ..request },
        ] {
            assert!(matches!(ids(&wrong), Err(Error::InvalidField { .. })), "{wrong:?}");
        }
    }
}
