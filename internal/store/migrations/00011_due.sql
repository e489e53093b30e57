-- What the lane looks for in each turn is found at once, also where very many grants are live or are being ended: the next
-- moment by due alone, and of what is being started or ended that for which AWS has something under way. A program that does
-- not know the column leaves it as it was: the lane then counts an operation too many or too few until AWS is asked, half a
-- minute later at the latest.

-- +goose Up
CREATE INDEX grants_next ON grants (due) WHERE due > 0;
ALTER TABLE grants ADD COLUMN under_way BIGINT NOT NULL DEFAULT 0;
UPDATE grants SET under_way = 1 WHERE state IN ('granting', 'ending');
CREATE INDEX grants_under_way ON grants (id) WHERE under_way = 1;
DROP INDEX grants_busy;

-- +goose Down
CREATE INDEX grants_busy ON grants (account) WHERE state IN ('granting', 'ending');
DROP INDEX grants_under_way;
ALTER TABLE grants DROP COLUMN under_way;
DROP INDEX grants_next;
