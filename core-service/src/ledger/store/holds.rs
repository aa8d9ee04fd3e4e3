//! The holds (reserved money) of video jobs. They are opened and ended within the transactions of the job store.

use super::{budgets::budgets_left, entry::Entry};
use crate::{database::DbConnection, error::BudgetExceeded, ledger::Payer, usd::Usd};

/// Reserves money for an item (a video job), if the budgets of the payer have enough left.
///
/// # Errors
/// The database failed.
pub async fn open_hold(
    connection: &mut DbConnection,
    item: &str,
    payer: &Payer,
    amount: Usd,
    price_version: &str,
    now: i64,
) -> Result<Result<(), BudgetExceeded>, sqlx::Error> {
    if let Err(exceeded) = budgets_left(connection, payer, amount, now).await? {
        return Ok(Err(exceeded));
    }
    let query =
        sqlx::query("INSERT INTO ledger_holds (item, key_name, team, amount, created_at) VALUES ($1, $2, $3, $4, $5)");
    let query = query.bind(item.to_owned()).bind(payer.key.clone()).bind(payer.team.clone());
    query.bind(amount.micros()).bind(now).execute(&mut *connection).await?;
    let Payer { key, team, .. } = payer;
    Entry { item, kind: "hold", key, team, amount, price_version, author: "" }.write(connection, now).await?;
    Ok(Ok(()))
}

/// Ends the open hold of an item. `cost` is what was spent; `None` if nothing was. Returns whether there was an open hold: it is ended
/// only once. `author` is the administrator who ended it by hand, if one did.
///
/// # Errors
/// The database failed.
pub async fn end_hold(
    connection: &mut DbConnection,
    item: &str,
    cost: Option<Usd>,
    price_version: &str,
    author: Option<&str>,
    now: i64,
) -> Result<bool, sqlx::Error> {
    let remove = sqlx::query_as("DELETE FROM ledger_holds WHERE item = $1 RETURNING key_name, team, amount");
    let removed: Option<(String, String, i64)> = remove.bind(item.to_owned()).fetch_optional(&mut *connection).await?;
    let Some((key, team, held)) = removed else { return Ok(false) };
    let (kind, amount) = match cost {
        Some(cost) => ("settle", cost),
        None => ("release", Usd::from_micros(held)),
    };
    let author = author.unwrap_or_default();
    Entry { item, kind, key: &key, team: &team, amount, price_version, author }.write(connection, now).await?;
    Ok(true)
}
