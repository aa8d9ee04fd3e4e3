//! The usage service of the stub: one row, one budget, and estimates of 0.40 US dollars.

use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, usage_service_server::UsageService};

use super::CoreStub;

#[tonic::async_trait]
impl UsageService for CoreStub {
    async fn list_usage(
        &self,
        request: Request<pb::ListUsageRequest>,
    ) -> Result<Response<pb::ListUsageResponse>, Status> {
        let message = self.receive(request)?;
        let row = pb::UsageRow {
            day: Some("2026-11-28".to_owned()),
            modality: pb::Modality::Video.into(),
            model: Some("m".to_owned()),
            calls: 3,
            errors: 1,
            video_millis: 4500,
            cost_micros: 450_000,
            ..pb::UsageRow::default()
        };
        let truncated = self.with(|state| {
            state.list_usage = Some(message);
            state.is_usage_truncated
        });
        let (first_day, last_day) = ("2026-11-01".to_owned(), "2026-11-28".to_owned());
        Ok(self.reply(pb::ListUsageResponse { rows: vec![row], truncated, first_day, last_day }))
    }

    async fn list_budgets(
        &self,
        request: Request<pb::ListBudgetsRequest>,
    ) -> Result<Response<pb::ListBudgetsResponse>, Status> {
        self.receive(request)?;
        let budget = pb::Budget {
            subject: Some(pb::budget::Subject::Team("research".to_owned())),
            period: pb::budget::Period::Month.into(),
            limit_micros: 10_000_000,
            spent_micros: 2_500_000,
            reserved_micros: 400_000,
        };
        Ok(self.reply(pb::ListBudgetsResponse { budgets: vec![budget] }))
    }

    async fn estimate_video(
        &self,
        request: Request<pb::EstimateVideoRequest>,
    ) -> Result<Response<pb::EstimateVideoResponse>, Status> {
        let message = self.receive(request)?;
        self.with(|state| state.create_video = message.video);
        let adjustment = pb::VideoAdjustment {
            field: "duration_seconds".to_owned(),
            requested: "3".to_owned(),
            used: "4".to_owned(),
        };
        let estimate = pb::VideoEstimate {
            model: "m".to_owned(),
            cost_micros: Some(400_000),
            price_version: "a1b2c3".to_owned(),
            size: "1280x720".to_owned(),
            resolution: "720p".to_owned(),
            duration_seconds: 4,
            adjustments: vec![adjustment],
            ..pb::VideoEstimate::default()
        };
        Ok(self.reply(pb::EstimateVideoResponse { estimate: Some(estimate) }))
    }

    async fn estimate_images(
        &self,
        request: Request<pb::EstimateImagesRequest>,
    ) -> Result<Response<pb::EstimateImagesResponse>, Status> {
        let message = self.receive(request)?;
        self.with(|state| state.image_request = message.image);
        let estimate = pb::ImageEstimate {
            model: "m".to_owned(),
            cost_micros: Some(400_000),
            price_version: "a1b2c3".to_owned(),
            n: 2,
            size: "auto".to_owned(),
            quality: "high".to_owned(),
        };
        Ok(self.reply(pb::EstimateImagesResponse { estimate: Some(estimate) }))
    }
}
