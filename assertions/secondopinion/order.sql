-- order.sql: whether, of two messages of a key of which the first was answered before the second was sent,
-- the first reaches each sink first. Copies of a message that the sink has seen, and messages redriven
-- before, stand aside.

CREATE TABLE placed AS
SELECT a.*, row_number() OVER (PARTITION BY flow, leg, message ORDER BY n) > 1 AS copy,
  EXISTS (SELECT 1 FROM event r WHERE r.kind = 'redrive' AND r.flow = a.flow AND r.message = a.message
    AND r.n < a.n) AS redriven
FROM arrival a WHERE a.kind <> 'reply';

-- lane: each first arrival with the one of the highest sequence number that its key has had there before.
CREATE TABLE lane AS
WITH pair AS (
  SELECT flow, leg, key, message, key_seq, n,
    max(key_seq) OVER earlier AS before, arg_max(message, key_seq) OVER earlier AS head
  FROM placed WHERE key_seq >= 0 AND NOT copy AND NOT redriven
  WINDOW earlier AS (PARTITION BY flow, leg, key ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), answered AS (
  SELECT e.flow, e.message, arg_max(e.at_ns, e.n) AS at_ns FROM event e
  WHERE e.kind = 'produce' AND e.outcome <> '' GROUP BY ALL
)
SELECT p.*, p.before IS NOT NULL AND (a.derived OR a.told_ok
    AND a.sent_ns + 1000 * greatest(1, (w.at_ns - a.sent_ns) // 1000) <= b.sent_ns) AS ordered
FROM pair p
  LEFT JOIN message a ON a.flow = p.flow AND a.message = CASE WHEN p.key_seq < p.before THEN p.message ELSE p.head END
  LEFT JOIN message b ON b.flow = p.flow AND b.message = CASE WHEN p.key_seq < p.before THEN p.head ELSE p.message END
  LEFT JOIN answered w ON w.flow = a.flow AND w.message = a.message;

CREATE TABLE "order" AS
WITH compared AS (
  SELECT flow, count(*) FILTER (ordered) AS compared, count(DISTINCT (leg, key)) AS lanes,
    count(*) FILTER (ordered AND key_seq < before) AS reordered FROM lane GROUP BY ALL
), aside AS (
  SELECT flow, count(*) FILTER (copy) AS redelivered, count(*) FILTER (NOT copy AND redriven) AS redriven
  FROM placed WHERE key_seq >= 0 GROUP BY ALL
)
SELECT f.flow, coalesce(columns(c.* EXCLUDE (flow)), 0), coalesce(columns(a.* EXCLUDE (flow)), 0)
FROM flow f LEFT JOIN compared c ON c.flow = f.flow LEFT JOIN aside a ON a.flow = f.flow;
