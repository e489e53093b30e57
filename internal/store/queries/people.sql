-- name: Review :one
SELECT body FROM reviews WHERE id = @id;

-- name: InsertReview :exec
INSERT INTO reviews (id, version, person, open, due, body) VALUES (@id, @version, @person, @open, @due, @body);

-- name: UpdateReview :execrows
UPDATE reviews SET version = @version, open = @open, body = @body WHERE id = @id AND version = @was;

-- name: OpenReviews :many
SELECT body FROM reviews WHERE open = 1 AND (due > @at OR due = @at AND id > @id) ORDER BY due, id LIMIT @most;

-- name: OverdueReviews :many
SELECT person, id FROM reviews WHERE open = 1 AND due <= @now ORDER BY due, id;

-- name: ReviewsOfPerson :many
SELECT body FROM reviews WHERE person = @person ORDER BY due DESC, id DESC LIMIT @most;

-- name: PutDelegation :exec
INSERT INTO delegations (person, until, body) VALUES (@person, @until, @body)
ON CONFLICT (person) DO UPDATE SET until = excluded.until, body = excluded.body;

-- name: DropDelegation :execrows
DELETE FROM delegations WHERE person = @person;

-- name: Delegations :many
SELECT body FROM delegations WHERE until > @now ORDER BY person;

-- name: ForgetDelegations :exec
DELETE FROM delegations WHERE until <= @before;

-- name: PutFavourite :exec
INSERT INTO favourites (person, name, body) VALUES (@person, @name, @body) ON CONFLICT (person, name) DO UPDATE SET body = excluded.body;

-- name: DropFavourite :execrows
DELETE FROM favourites WHERE person = @person AND name = @name;

-- name: Favourites :many
SELECT name, body FROM favourites WHERE person = @person ORDER BY name;

-- name: PutLentGroup :exec
INSERT INTO lent_groups (account, permission_set, body) VALUES (@account, @permission_set, @body)
ON CONFLICT (account, permission_set) DO UPDATE SET body = excluded.body;

-- name: LentGroups :many
SELECT body FROM lent_groups ORDER BY account, permission_set;

-- name: RequestsBefore :many
SELECT body FROM requests WHERE requester = @requester AND (asked_at < @at OR asked_at = @at AND id < @id) ORDER BY asked_at DESC, id DESC LIMIT @most;

-- name: CountRequestsSince :one
SELECT COUNT(*) FROM requests WHERE requester = @requester AND asked_at > @since;

-- name: GrantsOfPersonBefore :many
SELECT body FROM grants WHERE person = @person AND (approved_at < @at OR approved_at = @at AND id < @id) ORDER BY approved_at DESC, id DESC LIMIT @most;

-- name: GrantsBefore :many
SELECT body FROM grants WHERE approved_at < @at OR approved_at = @at AND id < @id ORDER BY approved_at DESC, id DESC LIMIT @most;

-- name: LiveGrantsBefore :many
SELECT body FROM grants WHERE live = 1 AND (approved_at < @at OR approved_at = @at AND id < @id) ORDER BY approved_at DESC, id DESC LIMIT @most;

-- name: LentGroup :one
SELECT body FROM lent_groups WHERE account = @account AND permission_set = @permission_set;
