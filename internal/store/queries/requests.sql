-- name: Request :one
SELECT body FROM requests WHERE id = @id;

-- name: InsertRequest :exec
INSERT INTO requests (id, version, requester, open, asked_at, body) VALUES (@id, @version, @requester, @open, @asked_at, @body);

-- name: UpdateRequest :execrows
UPDATE requests SET version = @version, open = @open, body = @body WHERE id = @id AND version = @was;

-- name: RequestsOf :many
SELECT body FROM requests WHERE requester = @requester ORDER BY asked_at DESC, id DESC LIMIT @most;

-- name: OpenRequests :many
SELECT body FROM requests WHERE open = 1 ORDER BY asked_at, id;
