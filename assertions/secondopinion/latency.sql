-- latency.sql: the flow table: how many were sent, how many arrived at each leg, and how long they
-- took, from the intended send time to the first arrival.

CREATE TABLE sent AS
SELECT f.flow, count(m.sent_ns) AS sent, count(*) FILTER (m.told_ok) AS accepted
FROM flow f LEFT JOIN message m ON m.flow = f.flow GROUP BY ALL;

-- A quantile is by the nearest rank: the least latency that at least that share does not exceed.
CREATE TABLE latency AS
WITH ranked AS (
  SELECT flow, name, arrived_ns - sent_ns AS ns,
    row_number() OVER (PARTITION BY flow, leg ORDER BY arrived_ns - sent_ns) AS rank,
    count(*) OVER (PARTITION BY flow, leg) AS of
  FROM leg_state WHERE sent_ns IS NOT NULL AND arrived
), timed AS (
  SELECT flow, name, min(ns) FILTER (rank >= 0.5 * of) AS p50_ns,
    min(ns) FILTER (rank >= 0.99 * of) AS p99_ns, max(ns) AS max_ns
  FROM ranked GROUP BY ALL
), counted AS (
  SELECT flow, name, count(*) AS arrived FROM leg_state
  WHERE sent_ns IS NOT NULL AND (arrived OR found) GROUP BY ALL
)
SELECT l.flow, l.name, coalesce(c.arrived, 0) AS arrived, coalesce(t.p50_ns, 0) AS p50_ns,
  coalesce(t.p99_ns, 0) AS p99_ns, coalesce(t.max_ns, 0) AS max_ns
FROM leg l LEFT JOIN counted c ON c.flow = l.flow AND c.name = l.name
  LEFT JOIN timed t ON t.flow = l.flow AND t.name = l.name;
