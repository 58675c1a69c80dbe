-- dead_letter.sql: for each dead-letter channel, what belongs in it and what the audit found there.

-- run_of: the runs of handlers that dead-letter, with which attempt each one was. Where the broker
-- dead-letters by itself an attempt is a delivery.
-- covers: a list of reasons names one itself, or the class of an HTTP status, but for 429.
CREATE MACRO covers(reasons, reason) AS list_contains(reasons, reason)
  OR regexp_full_match(reason, '[45][0-9][0-9]') AND reason <> '429'
    AND list_contains(reasons, reason[1] || 'xx');

CREATE TABLE run_of AS
SELECT w.channel, e.n, e.flow, e.message, e.outcome = 'ok' AS ok,
  e.outcome <> 'ok' AND e.reason NOT IN ('crash', 'stopped') AND (
    CASE WHEN w.native THEN e.delivery ELSE e.attempt END >= w.most
    OR e.reason IN ('schema', 'auth', 'permanent') OR covers(w.permanent, e.reason)) AS final
FROM event e JOIN dead_way w ON w.node = e.node AND w.handler = e.handler
WHERE e.kind = 'attempt' AND e.message >= 0;

-- dead_sent: the dead letters; one for a permanent reason is owed by that alone.
CREATE TABLE dead_sent AS
SELECT w.channel, e.n, e.flow, e.message, e.outcome IN ('', 'ok') AS answered,
  e.reason IN ('schema', 'auth', 'permanent') OR covers(w.permanent, e.reason)
    OR e.reason LIKE '_xx' AND len(list_filter(w.permanent, lambda p: p[1] = e.reason[1])) > 0 AS final
FROM event e JOIN dead_way w ON w.node = e.node AND w.handler = e.handler
  LEFT JOIN channel c ON c.channel = e.channel
WHERE e.kind = 'dead_letter' AND e.message >= 0 AND (e.channel = '' OR c.ref = w.channel);

-- dead: a message is owed by its last attempt, unless a run after it succeeded before it was sent.
CREATE TABLE dead AS
WITH owed AS (
  SELECT DISTINCT f.channel, f.flow, f.message FROM run_of f WHERE f.final AND NOT EXISTS (
    SELECT 1 FROM run_of k WHERE k.ok AND k.n > f.n
      AND (k.channel, k.flow, k.message) = (f.channel, f.flow, f.message)
      AND NOT EXISTS (SELECT 1 FROM dead_sent s WHERE s.n < k.n
        AND (s.channel, s.flow, s.message) = (k.channel, k.flow, k.message)))
  UNION
  SELECT channel, flow, message FROM dead_sent WHERE final
), found AS (
  SELECT DISTINCT w.channel, e.flow, e.message
  FROM event e JOIN channel c ON c.channel = e.channel
    JOIN (SELECT DISTINCT channel, readable FROM dead_way) w ON w.channel = c.ref
  WHERE e.kind = 'found' AND e.message >= 0 AND w.readable
  UNION
  SELECT s.channel, s.flow, s.message FROM dead_sent s JOIN dead_way w ON w.channel = s.channel
  WHERE s.answered AND NOT w.readable
), failed AS ( -- all that failed for good, was sent or found, and since when
  SELECT channel, flow, message, min(n) AS n FROM (
    SELECT channel, n, flow, message FROM run_of WHERE final
    UNION ALL SELECT channel, n, flow, message FROM dead_sent) GROUP BY ALL
), redriven AS (
  SELECT DISTINCT f.channel, f.flow, f.message
  FROM failed f JOIN event e ON e.flow = f.flow AND e.message = f.message
    LEFT JOIN channel c ON c.channel = e.channel
  WHERE e.kind = 'redrive' AND e.n > f.n AND (e.channel = ''
    OR c.ref IN (SELECT source FROM dead_way w WHERE w.channel = f.channel))
), everyone AS (FROM owed UNION FROM found UNION FROM redriven)
SELECT e.channel, e.flow, e.message, e IN (SELECT o FROM owed o) AS owed,
  e IN (SELECT f FROM found f) AS found, e IN (SELECT r FROM redriven r) AS redriven
FROM everyone e;

CREATE TABLE dead_letter AS
SELECT w.channel, count(*) FILTER (d.owed) AS owed, count(*) FILTER (d.found) AS found,
  count(*) FILTER (d.redriven) AS redriven
FROM (SELECT DISTINCT channel FROM dead_way) w LEFT JOIN dead d ON d.channel = w.channel GROUP BY ALL;
