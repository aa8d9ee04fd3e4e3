//! The statement that lists jobs.

use super::row;
use crate::{
    database::{Database, QueryBuilder},
    video::{state::Phase, store::Page},
};

/// The public name of a job's model, in the form of the index `video_jobs_model`.
const MODEL: &str = "(CASE WHEN json_valid(request) THEN json_extract(request, '$.model') END)";

/// Returns the statement for at most `limit` jobs of a page, after the row with this id.
pub(super) fn statement(database: &Database, page: &Page, after: Option<&str>, limit: usize) -> QueryBuilder {
    let Page { limit: _, after: _, oldest_first, owners, phases, model } = page;
    // Ids sort by creation time. `video_` sorts before and `video~` after every id.
    let (compare, order, start) = if *oldest_first { (">", "ASC", "video_") } else { ("<", "DESC", "video~") };
    let mut query = QueryBuilder::new("SELECT ");
    query.push(row::LISTED).push(" FROM video_jobs ");
    if phases.is_empty() || phases.contains(&Phase::Succeeded) {
        query.push("WHERE deleted = 0");
    } else {
        // SQLite does not know that these jobs are few, and would read all jobs of the owner or of the model.
        let hint = database.index_hint("video_jobs_not_succeeded");
        query.push(hint).push(" WHERE phase <> 'succeeded' AND deleted = 0");
    }
    query.push(" AND id ").push(compare).push_bind(after.unwrap_or(start).to_owned());
    if let Some(owner) = owners.only() {
        query.push(" AND owner = ").push_bind(owner.as_str().to_owned());
    }
    if !phases.is_empty() {
        query.push(" AND phase IN (");
        for (number, phase) in phases.iter().enumerate() {
            query.push(if number > 0 { ", " } else { "" }).push_bind(phase.as_str());
        }
        query.push(")");
    }
    if !model.is_empty() {
        query.push(" AND ").push(MODEL).push(" = ").push_bind(model.clone());
    }
    query.push(" ORDER BY id ").push(order).push(" LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    query
}
