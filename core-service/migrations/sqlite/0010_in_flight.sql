-- The limit of a key or team counts its jobs that are not final.
CREATE INDEX video_jobs_in_flight ON video_jobs (owner)
    WHERE phase IN ('queued', 'submitting', 'rendering', 'storing');
