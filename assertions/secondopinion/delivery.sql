-- delivery.sql: how each owed message ended, and the figures of the verdicts "delivery".

-- depth: what stood in a channel when the drain ended, by the last gauge of each of its groups.
CREATE TABLE depth AS
SELECT ref, sum(value) AS depth FROM (
  SELECT c.ref, e.handler, arg_max(e.value, e.n) AS value
  FROM event e JOIN channel c ON c.channel = e.channel
  WHERE e.kind = 'gauge' AND e.step IN ('depth', 'lag') AND e.n < (SELECT audit_n FROM run)
  GROUP BY ALL) GROUP BY ALL;

-- moving: messages that were on their way when the drain ended: heard of in its last half second;
-- or published into a channel that was not empty; or, where something still moved then, into one of
-- unknown depth that nobody received them from; or not heard of, before a channel that was not empty.
CREATE TABLE moving AS
WITH took AS (
  SELECT DISTINCT e.flow, e.message, e.kind, c.ref
  FROM event e JOIN channel c ON c.channel = e.channel
  WHERE e.kind IN ('publish', 'receive') AND e.outcome <> 'fail' AND tried(e.reason) AND e.message >= 0
), late AS (
  SELECT drain_end_ns - 500_000_000 AS ns FROM run
)
SELECT flow, message FROM message WHERE last_ns > (SELECT ns FROM late)
UNION
SELECT t.flow, t.message FROM took t JOIN depth d USING (ref) WHERE t.kind = 'publish' AND d.depth > 0
UNION
SELECT t.flow, t.message FROM took t
WHERE t.kind = 'publish' AND t.ref NOT IN (SELECT ref FROM depth)
  AND (SELECT max(last_ns) FROM message) > (SELECT ns FROM late)
  AND NOT EXISTS (SELECT 1 FROM took r
    WHERE r.kind = 'receive' AND (r.flow, r.message, r.ref) = (t.flow, t.message, t.ref))
UNION
SELECT m.flow, m.message FROM message m
  JOIN flow f ON f.flow = m.flow
  JOIN hop a ON a.flow = f.flow AND a.place = 0 AND a.node = f.source
  JOIN hop b ON b.flow = a.flow AND b.path = a.path AND b.place = 1
  JOIN depth d ON d.ref = b.channel AND d.depth > 0
WHERE NOT EXISTS (SELECT 1 FROM event e WHERE e.flow = m.flow AND e.message = m.message
  AND e.kind IN ('publish', 'call', 'store', 'receive') AND tried(e.reason));

-- outcome: an owed message by its worst leg, 0 found to 5 lost. A sink is believed only when the audit
-- found the message there, a dead letter only when it was found in its channel, where that can be
-- read. What an unseen node or the broker itself dead-letters leaves no row but the found one.
CREATE TABLE outcome AS
WITH way AS (
  SELECT b.flow, b.leg, bool_and(w.readable) AS readable,
    bool_or(w.native OR w.node IN (FROM unseen)) AS silent
  FROM dead_way w JOIN below b ON b.vertex = w.node GROUP BY ALL
), one AS (
  SELECT s.flow, s.message, s.name, CASE
    WHEN s.found OR s.reply AND s.arrived THEN 0
    WHEN s.filtered THEN 1
    WHEN s.expired THEN 2
    WHEN s.dead_found AND coalesce(w.silent, false) THEN 3
    WHEN s.dead AND (s.dead_found OR NOT coalesce(w.readable, false)) THEN 3
    WHEN l.node IN (FROM unseen) AND NOT s.reply THEN 0
    WHEN (s.flow, s.message) IN (FROM moving) THEN 4
    WHEN f.guarantee = 'at-most-once' THEN 1
    ELSE 5 END AS ending
  FROM leg_state s JOIN message m USING (flow, message) JOIN flow f ON f.flow = s.flow
    JOIN leg l ON l.flow = s.flow AND l.leg = s.leg
    LEFT JOIN way w ON w.flow = s.flow AND w.leg = s.leg
  WHERE m.owed
)
SELECT m.flow, m.message, coalesce(max(o.ending), 0) AS ending
FROM message m LEFT JOIN one o USING (flow, message) WHERE m.owed GROUP BY ALL;

CREATE TABLE delivery AS
WITH ends AS (
  SELECT flow, count(*) AS owed, count(*) FILTER (ending = 0) AS found,
    count(*) FILTER (ending = 3) AS dead_lettered, count(*) FILTER (ending = 2) AS expired,
    count(*) FILTER (ending = 1) AS filtered, count(*) FILTER (ending = 5) AS lost,
    count(*) FILTER (ending = 4) AS in_flight
  FROM outcome GROUP BY ALL
), surplus AS ( -- what is at a sink and should not be, or too often
  SELECT s.flow, count(*) FILTER (s.sent_ns IS NULL) AS unexpected,
    count(*) FILTER (s.sent_ns IS NOT NULL AND m.told_fail) AS found_though_refused,
    count(*) FILTER (s.copies > 1) AS duplicated
  FROM leg_state s JOIN message m USING (flow, message)
  WHERE s.found OR s.arrived GROUP BY ALL
)
SELECT f.flow, coalesce(columns(e.* EXCLUDE (flow)), 0), coalesce(columns(s.* EXCLUDE (flow)), 0)
FROM flow f LEFT JOIN ends e ON e.flow = f.flow LEFT JOIN surplus s ON s.flow = f.flow;
