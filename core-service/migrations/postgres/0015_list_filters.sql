-- Lists of jobs by state. Most jobs have succeeded, so the others are few, and a list of those that succeeded needs no index of its own.
CREATE INDEX video_jobs_not_succeeded ON video_jobs (id, owner, phase) WHERE phase <> 'succeeded';

-- Lists of jobs by model, which never changes. A document that cannot be read has no model.
CREATE INDEX video_jobs_model ON video_jobs ((CASE WHEN json_valid(request) THEN json_extract(request, '$.model') END), id);
