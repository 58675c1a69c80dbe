-- order.sql: whether a key's messages reach each sink in the order they were sent. Copies of a message
-- that the sink has seen, and messages redriven before, stand aside.

CREATE TABLE placed AS
SELECT a.*, row_number() OVER (PARTITION BY flow, leg, message ORDER BY n) > 1 AS copy,
  EXISTS (SELECT 1 FROM event r WHERE r.kind = 'redrive' AND r.flow = a.flow AND r.message = a.message
    AND r.n < a.n) AS redriven
FROM arrival a WHERE a.kind <> 'reply';

-- reordered: a first arrival below the highest sequence number that its key has had there.
CREATE TABLE lane AS
SELECT flow, leg, key, message, key_seq, n, max(key_seq) OVER (PARTITION BY flow, leg, key ORDER BY n
  ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
FROM placed WHERE key_seq >= 0 AND NOT copy AND NOT redriven;

CREATE TABLE "order" AS
WITH compared AS (
  SELECT flow, count(before) AS compared, count(DISTINCT (leg, key)) AS lanes,
    count(*) FILTER (key_seq < before) AS reordered FROM lane GROUP BY ALL
), aside AS (
  SELECT flow, count(*) FILTER (copy) AS redelivered, count(*) FILTER (NOT copy AND redriven) AS redriven
  FROM placed WHERE key_seq >= 0 GROUP BY ALL
)
SELECT f.flow, coalesce(columns(c.* EXCLUDE (flow)), 0), coalesce(columns(a.* EXCLUDE (flow)), 0)
FROM flow f LEFT JOIN compared c ON c.flow = f.flow LEFT JOIN aside a ON a.flow = f.flow;
