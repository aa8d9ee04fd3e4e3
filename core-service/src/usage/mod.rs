//! The gRPC service for usage, budgets and estimates.

mod period;
mod view;

use std::sync::Arc;

use async_trait::async_trait;
use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, usage_service_server::UsageService};

use self::period::days;
use crate::{
    context::RequestContext,
    error::Error,
    image::grpc::ImageGrpc,
    keys::{Caller, Keys, Owners},
    ledger::{Grouping, Ledger, UsageFilter},
    video::grpc::VideoGrpc,
};

/// The maximum number of rows of a list of usage.
const MAX_ROWS: u32 = 10_000;
/// The maximum number of rows if the request does not set it.
const DEFAULT_ROWS: u32 = 1000;

/// Implements [`UsageService`] over the ledger and the services whose requests it estimates. Clones share everything.
#[derive(Debug, Clone)]
pub struct UsageGrpc {
    ledger: Ledger,
    image: Arc<ImageGrpc>,
    video: Arc<VideoGrpc>,
    keys: Keys,
}

impl UsageGrpc {
    /// Reports the usage and budgets of this ledger, and estimates requests to these services. Requires callers to send one of these keys.
    pub fn new(ledger: Ledger, image: Arc<ImageGrpc>, video: Arc<VideoGrpc>, keys: Keys) -> Self {
        Self { ledger, image, video, keys }
    }

    fn context<T>(&self, request: &Request<T>) -> Result<RequestContext, Error> {
        RequestContext::new(request, &self.keys, "")
    }

    async fn usage(&self, request: pb::ListUsageRequest, owners: &Owners) -> Result<pb::ListUsageResponse, Error> {
        let pb::ListUsageRequest { first_day, last_day, group_by, key, model, max_rows } = request;
        let (first_day, last_day) = days(first_day, last_day)?;
        let grouping = grouping(&group_by)?;
        let limit = max_rows.unwrap_or(DEFAULT_ROWS);
        if !(1..=MAX_ROWS).contains(&limit) {
            return Err(Error::invalid("max_rows", format!("must be from 1 to {MAX_ROWS}, not {limit}")));
        }
        let own = owners.only().map(|owner| owner.as_str().to_owned());
        // Other keys do not exist for the caller.
        let is_hidden = own.is_some() && key.is_some() && key != own;
        let filter = UsageFilter {
            first_day,
            last_day,
            key: own.or(key),
            model: (!model.is_empty()).then_some(model),
            grouping,
            // One more than requested tells whether there are more.
            limit: limit + 1,
        };
        let mut rows = match self.ledger.store() {
            Some(store) if !is_hidden => store.usage(&filter).await?,
            _ => Vec::new(),
        };
        let truncated = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let rows = rows.into_iter().map(|row| view::row(row, grouping)).collect();
        Ok(pb::ListUsageResponse { rows, truncated, first_day: filter.first_day, last_day: filter.last_day })
    }

    async fn budgets(&self, caller: &Caller) -> Result<pb::ListBudgetsResponse, Error> {
        let budgets = match caller.owners() {
            Owners::All => self.keys.budgets(),
            Owners::Only(_) => caller.payer().budgets.clone(),
        };
        let states = match self.ledger.store() {
            Some(store) => store.budgets(&budgets).await?,
            None => Vec::new(),
        };
        Ok(pb::ListBudgetsResponse { budgets: states.iter().map(view::budget).collect() })
    }
}

/// Returns the columns by which the rows are grouped.
fn grouping(groups: &[i32]) -> Result<Grouping, Error> {
    let mut grouping = Grouping::default();
    for group in groups {
        match pb::UsageGroup::try_from(*group) {
            Ok(pb::UsageGroup::Key) => grouping.key = true,
            Ok(pb::UsageGroup::Team) => grouping.team = true,
            Ok(pb::UsageGroup::Model) => grouping.model = true,
            Ok(pb::UsageGroup::Day) => grouping.day = true,
            Ok(pb::UsageGroup::Unspecified) | Err(_) => {
                return Err(Error::invalid("group_by", "must be a list of KEY, TEAM, MODEL and DAY"));
            }
        }
    }
    Ok(grouping)
}

#[async_trait]
impl UsageService for UsageGrpc {
    async fn list_usage(
        &self,
        request: Request<pb::ListUsageRequest>,
    ) -> Result<Response<pb::ListUsageResponse>, Status> {
        let context = self.context(&request)?;
        let usage = context.within(self.usage(request.into_inner(), &context.caller.owners())).await?;
        Ok(Response::new(usage))
    }

    async fn list_budgets(
        &self,
        request: Request<pb::ListBudgetsRequest>,
    ) -> Result<Response<pb::ListBudgetsResponse>, Status> {
        let context = self.context(&request)?;
        Ok(Response::new(context.within(self.budgets(&context.caller)).await?))
    }

    async fn estimate_video(
        &self,
        request: Request<pb::EstimateVideoRequest>,
    ) -> Result<Response<pb::EstimateVideoResponse>, Status> {
        let context = self.context(&request)?;
        let pb::EstimateVideoRequest { video } = request.into_inner();
        let estimate = context.within(async {
            let video = video.ok_or_else(|| Error::invalid("video", "is required"))?;
            self.video.estimate(&context, video).await
        });
        Ok(Response::new(pb::EstimateVideoResponse { estimate: Some(estimate.await?) }))
    }

    async fn estimate_images(
        &self,
        request: Request<pb::EstimateImagesRequest>,
    ) -> Result<Response<pb::EstimateImagesResponse>, Status> {
        let context = self.context(&request)?;
        let pb::EstimateImagesRequest { image } = request.into_inner();
        let estimate = self.image.estimate(&context, image)?;
        Ok(Response::new(pb::EstimateImagesResponse { estimate: Some(estimate) }))
    }
}
