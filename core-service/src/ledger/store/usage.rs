//! Writes usage to the daily sums.

use triptych_proto::v1::Modality;

use super::entry::day;
use crate::{database::DbConnection, ledger::allowance::Usage, prices::Quantities};

/// Adds usage to the sums of a day.
///
/// # Errors
/// The database failed.
pub async fn record_usage(
    connection: &mut DbConnection,
    key: &str,
    team: &str,
    modality: Modality,
    model: &str,
    usage: &Usage,
    now: i64,
) -> Result<(), sqlx::Error> {
    let Usage { calls, errors, quantities, cost } = *usage;
    let Quantities { input_tokens, cached_tokens, output_tokens, reasoning_tokens, images, video_millis } = quantities;
    // Without `WHERE true`, SQLite would read `ON CONFLICT` as a condition of a join.
    let query = sqlx::query(
        "INSERT INTO usage_daily AS sums (day, key_name, team, modality, model, calls, errors, input_tokens, cached_tokens, \
         output_tokens, reasoning_tokens, images, video_millis, cost) \
         SELECT $1, $2, $3, $4, CASE WHEN \
         EXISTS (SELECT 1 FROM usage_daily AS u WHERE u.day = $1 AND u.key_name = $2 AND u.team = $3 AND u.modality = $4 \
         AND u.model = $5) OR (SELECT COUNT(*) FROM usage_daily AS u WHERE u.day = $1 AND u.key_name = $2) < $15 \
         THEN $5 ELSE 'other' END, $6, $7, $8, $9, $10, $11, $12, $13, $14 WHERE true \
         ON CONFLICT (day, key_name, team, modality, model) DO UPDATE SET calls = sums.calls + excluded.calls, \
         errors = sums.errors + excluded.errors, input_tokens = sums.input_tokens + excluded.input_tokens, \
         cached_tokens = sums.cached_tokens + excluded.cached_tokens, output_tokens = sums.output_tokens + excluded.output_tokens, \
         reasoning_tokens = sums.reasoning_tokens + excluded.reasoning_tokens, images = sums.images + excluded.images, \
         video_millis = sums.video_millis + excluded.video_millis, cost = sums.cost + excluded.cost",
    );
    let mut query = query
        .bind(day(now))
        .bind(key.to_owned())
        .bind(team.to_owned())
        .bind(modality_name(modality))
        .bind(model.to_owned());
    let counts = [calls, errors, input_tokens, cached_tokens, output_tokens, reasoning_tokens, images, video_millis];
    for count in counts {
        // An upstream can report any number. SQLite converts a sum that overflows to a floating-point number.
        query = query.bind(i64::try_from(count).unwrap_or(i64::MAX).min(MAX_COUNT));
    }
    query.bind(cost.micros()).bind(MAX_MODELS).execute(connection).await?;
    Ok(())
}

/// The most models of a key with sums of their own on one day; the usage of further ones is that of the model `other`. Clients can
/// make up the names of models that are passed through.
const MAX_MODELS: i64 = 1000;

/// The most that one write adds to a sum.
const MAX_COUNT: i64 = 1 << 50;

/// Returns the name of a modality in the database.
pub(super) fn modality_name(modality: Modality) -> &'static str {
    match modality {
        Modality::Chat => "chat",
        Modality::Image => "image",
        Modality::Video => "video",
        Modality::Unspecified => "",
    }
}

/// Returns the modality with this name.
pub(super) fn modality(name: &str) -> Modality {
    match name {
        "chat" => Modality::Chat,
        "image" => Modality::Image,
        "video" => Modality::Video,
        _ => Modality::Unspecified,
    }
}
