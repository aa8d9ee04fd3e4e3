-- Request members without a field of their own get a column, which lists do not read. Unreadable documents stay as they are.
ALTER TABLE video_jobs ADD COLUMN extra_json TEXT NOT NULL DEFAULT '';

UPDATE video_jobs SET extra_json = json_extract(request, '$.extra_json'), request = json_remove(request, '$.extra_json')
WHERE CASE WHEN json_valid(request) THEN json_extract(request, '$.extra_json') END <> '';

-- A queued job is claimed only while its provider has a free slot.
ALTER TABLE video_jobs ADD COLUMN provider_id TEXT NOT NULL DEFAULT '';

UPDATE video_jobs SET provider_id = COALESCE(CASE WHEN json_valid(request)
    THEN COALESCE(json_extract(request, '$.provider_id'), json_extract(request, '$.provider')) END, '');

-- Queued jobs are claimed owner by owner, all other jobs by due time.
DROP INDEX video_jobs_due;
CREATE INDEX video_jobs_due ON video_jobs (due_at, id, lease_until, phase) WHERE due_at IS NOT NULL AND phase <> 'queued';
CREATE INDEX video_jobs_waiting ON video_jobs (owner, due_at, id, lease_until, provider_id, phase)
    WHERE due_at IS NOT NULL AND phase = 'queued';

-- Who stored a file: several owners can store the same content. Files without a row are from before owners existed, or
-- belong to the anonymous owner. The files of a job belong to the owner of the job.
CREATE TABLE media_owners (
    key TEXT NOT NULL REFERENCES media (key) ON DELETE CASCADE,
    owner TEXT NOT NULL,
    PRIMARY KEY (key, owner)
);

INSERT INTO media_owners (key, owner)
SELECT media.key, video_jobs.owner FROM media JOIN video_jobs ON video_jobs.id = substr(media.key, 1, 38)
WHERE video_jobs.owner <> '';
