-- The priority of a key, and that of a job, which is that of its key when the job was created.
ALTER TABLE api_keys ADD COLUMN priority TEXT NOT NULL DEFAULT 'normal' CHECK (priority IN ('low', 'normal', 'high'));
ALTER TABLE video_jobs ADD COLUMN priority TEXT NOT NULL DEFAULT 'normal' CHECK (priority IN ('low', 'normal', 'high'));

-- Queued jobs are claimed by priority first, then in turns of the owners.
DROP INDEX video_jobs_waiting;
CREATE INDEX video_jobs_waiting ON video_jobs (provider_id, priority, owner, due_at, id, phase, lease_owner)
    WHERE due_at IS NOT NULL AND phase = 'queued' AND lease_owner = '';
