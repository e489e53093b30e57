-- name: Grant :one
SELECT body FROM grants WHERE id = @id;

-- name: InsertGrant :exec
INSERT INTO grants (id, version, request, person, way, account, permission_set, state, live, due, urgency, ends_at, under_way, approved_at, body)
VALUES (@id, @version, @request, @person, @way, @account, @permission_set, @state, @live, @due, @urgency, @ends_at, @under_way, @approved_at, @body);

-- name: UpdateGrant :execrows
UPDATE grants SET version = @version, state = @state, live = @live, due = @due, urgency = @urgency, ends_at = @ends_at, under_way = @under_way, body = @body
WHERE id = @id AND version = @was;

-- name: DueGrants :many
SELECT body FROM grants WHERE urgency = @urgency AND due > 0 AND due <= @now ORDER BY due, id LIMIT @most;

-- name: BusyGrants :many
SELECT body FROM grants WHERE under_way = 1 ORDER BY id;

-- name: NextDue :one
SELECT due FROM grants WHERE due > 0 AND due > @after ORDER BY due LIMIT 1;

-- name: GrantsOfKey :many
SELECT body FROM grants
WHERE person = @person AND account = @account AND permission_set = @permission_set AND way = @way AND due > 0
ORDER BY approved_at, id;

-- name: GrantsOfPerson :many
SELECT body FROM grants WHERE person = @person ORDER BY approved_at DESC, id DESC LIMIT @most;

-- name: LiveGrantsOfPerson :many
SELECT body FROM grants WHERE person = @person AND live = 1 ORDER BY approved_at, id;

-- name: RecentGrants :many
SELECT body FROM grants ORDER BY approved_at DESC, id DESC LIMIT @most;

-- name: GrantsOfRequest :many
SELECT body FROM grants WHERE request = @request ORDER BY id;
