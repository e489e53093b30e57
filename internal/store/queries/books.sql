-- name: InsertBook :exec
INSERT INTO books (id, version, state, digest, proposed_at, activated_at, body, files)
VALUES (@id, @version, @state, @digest, @proposed_at, @activated_at, @body, @files);

-- name: UpdateBook :execrows
UPDATE books SET version = @version, state = @state, activated_at = @activated_at, body = @body WHERE id = @id AND version = @was;

-- name: Book :one
SELECT body FROM books WHERE id = @id;

-- name: BookInForce :one
SELECT body FROM books WHERE state = 'in-force';

-- name: BookFiles :one
SELECT files FROM books WHERE id = @id;

-- name: OpenBooks :many
SELECT body FROM books WHERE state = 'proposed' ORDER BY proposed_at, id;

-- name: ActivatedBooks :many
SELECT body FROM books WHERE activated_at > 0 ORDER BY activated_at DESC, id DESC LIMIT @most;

-- name: BooksOfDigest :many
SELECT body FROM books WHERE digest = @digest ORDER BY proposed_at DESC, id DESC LIMIT @most;
