-- name: TakeLease :one
INSERT INTO leases (name, holder, until, epoch)
SELECT CAST(@name AS TEXT), CAST(@holder AS TEXT), CAST(@until AS BIGINT), 1 FROM log_head WHERE log_head.id = 1 AND log_head.least_writer <= @ours
ON CONFLICT (name) DO UPDATE SET
    epoch  = CASE WHEN leases.holder = excluded.holder THEN leases.epoch ELSE leases.epoch + 1 END,
    holder = excluded.holder,
    until  = excluded.until
WHERE leases.holder = excluded.holder OR leases.until <= @now
RETURNING epoch;

-- name: DropLease :exec
UPDATE leases SET until = 0 WHERE name = @name AND holder = @holder;

-- name: ForgetLeases :exec
DELETE FROM leases WHERE until < @before;

-- name: Reply :one
SELECT digest, subject FROM replies WHERE person = @person AND key = @key;

-- name: InsertReply :exec
INSERT INTO replies (person, key, digest, subject, at) VALUES (@person, @key, @digest, @subject, @at);

-- name: ForgetReplies :exec
DELETE FROM replies WHERE at < @before;

-- name: MirrorHead :one
SELECT generation, read_at, body FROM mirror_head WHERE id = 1;

-- name: UpdateMirrorHead :exec
UPDATE mirror_head SET generation = @generation, read_at = @read_at, body = @body WHERE id = 1;

-- name: MirrorItems :many
SELECT kind, id, body FROM mirror_items ORDER BY kind, id;

-- name: PutMirrorItem :exec
INSERT INTO mirror_items (kind, id, body) VALUES (@kind, @id, @body) ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body;

-- name: DropMirrorItem :exec
DELETE FROM mirror_items WHERE kind = @kind AND id = @id;
