-- recovery.sql: how long a flow takes to be well again. The table asked has one row for each recovery
-- that the scenario asserts: name, flow, fault, hold_ns, bucket_ns. A time is in whole ns since the run
-- began; how long something took after a message was sent is cut to whole µs. A window is [from, to).

CREATE MACRO us(ns) AS greatest(0, ns) // 1000 * 1000;
-- fewer: the probability of at most k successes among n, each of probability p.
CREATE MACRO fewer(k, n, p) AS CASE WHEN k >= n OR p <= 0 THEN 1.0 WHEN p >= 1 THEN 0.0 ELSE
  list_sum(list_transform(range(0, k::BIGINT + 1), lambda i: exp(lgamma(n + 1.0) - lgamma(i + 1.0)
    - lgamma(n - i + 1.0) + i * ln(p) + (n - i) * ln(1 - p)))) END;
-- owed: how many births so many parents owe, when steady_born were born of steady_parents.
CREATE MACRO owed(parents, steady_born, steady_parents) AS
  CASE WHEN steady_parents > 0 THEN steady_born / steady_parents * parents ELSE 0.0 END;
-- scarce: so few were born of so many parents that chance explains it once in a million times.
CREATE MACRO scarce(born, parents, steady_born, steady_parents) AS
  born < owed(parents, steady_born, steady_parents)
  AND fewer(born, born + steady_born, parents / greatest(1, parents + steady_parents)) < 1e-6;

-- due: when a message was meant to be sent: a derived one when its parent was due, up to a message that
-- a source sent, of those parents that began before it.
CREATE TABLE due AS
WITH RECURSIVE child AS (
  SELECT flow, message, arg_min(parent_flow, n) AS parent_flow, arg_min(parent, n) AS parent, min(n) AS n
  FROM event WHERE kind = 'derive' AND message >= 0 GROUP BY ALL
), start AS (
  SELECT flow, message, min(n) AS n FROM event
  WHERE kind = 'derive' OR kind = 'produce' AND outcome = '' GROUP BY ALL
), up(flow, message, at_flow, at_message, held_ns, n) AS ( -- n: the row of the birth, going back
  SELECT flow, message, flow, message, 0::BIGINT, 9223372036854775807 FROM message WHERE sent_ns IS NOT NULL
  UNION ALL
  SELECT u.flow, u.message, p.flow, p.message, u.held_ns + m.sent_ns - p.sent_ns, c.n
  FROM up u JOIN child c ON c.flow = u.at_flow AND c.message = u.at_message AND c.n < u.n
    JOIN message m ON m.flow = c.flow AND m.message = c.message
    JOIN start s ON s.flow = c.parent_flow AND s.message = c.parent AND s.n < c.n
    JOIN message p ON p.flow = s.flow AND p.message = s.message
)
SELECT u.flow, u.message, any_value(m.sent_ns) - us(arg_min(u.held_ns, u.n)) AS due_ns
FROM up u JOIN message m ON m.flow = u.flow AND m.message = u.message GROUP BY u.flow, u.message;

-- calm: the steady phase without its last fifth, one second at most. No row where a run had none.
CREATE TABLE calm AS
WITH phases AS (
  SELECT name, at_ns AS from_ns,
    coalesce(lead(at_ns) OVER (ORDER BY n), (SELECT last_ns + 1 FROM run)) AS to_ns FROM phase
)
SELECT from_ns, to_ns - least(1_000_000_000, (to_ns - from_ns) // 5) AS to_ns FROM phases
WHERE name = 'steady' LIMIT 1;

-- usual: what a leg without a p99, or of a derived flow, may take from when a message was due: 5 times
-- its own steady p99 (by the nearest rank) and one second.
CREATE TABLE usual AS
WITH whole AS (
  SELECT s.flow, s.leg, us(s.arrived_ns - s.sent_ns) + us(s.sent_ns - d.due_ns) AS ns
  FROM leg_state s JOIN due d USING (flow, message) JOIN flow f ON f.flow = s.flow, calm c
  WHERE s.arrived AND d.due_ns >= c.from_ns AND d.due_ns < c.to_ns
    AND (s.p99_ns = 0 OR f.derived_from <> '')
), ranked AS (
  SELECT flow, leg, ns, row_number() OVER w AS rank, count(*) OVER (PARTITION BY flow, leg) AS of
  FROM whole WINDOW w AS (PARTITION BY flow, leg ORDER BY ns)
)
SELECT flow, leg, min(ns) FILTER (rank >= 0.99 * of) * 5 + 1_000_000_000 AS ns FROM ranked GROUP BY ALL;

-- course: a message over all its legs: completed when each was reached or rightly ended; late when one
-- was reached after its p99, or later than usual; settled when nothing more is waited for, NULL for
-- never, and 1 ns after it was sent at the earliest.
CREATE TABLE course AS
SELECT m.flow, m.message, m.sent_ns, d.due_ns,
  coalesce(bool_and(s.arrived OR s.found OR s.filtered), true) AS completed,
  coalesce(bool_or(s.arrived AND (s.p99_ns > 0 AND us(s.arrived_ns - s.sent_ns) > s.p99_ns
    OR us(s.arrived_ns - s.sent_ns) + s.sent_ns - d.due_ns > u.ns)), false) AS late,
  m.sent_ns + CASE
    WHEN coalesce(bool_and(s.arrived OR s.found OR s.dead OR s.expired OR s.filtered), true)
    THEN greatest(1, max(us(coalesce(s.arrived_ns, s.ended_ns, m.sent_ns) - m.sent_ns)))
    WHEN NOT m.owed AND (m.told_ok OR m.told_fail OR m.told_unknown)
    THEN greatest(1_000, us(m.last_ns - m.sent_ns)) END AS settled_ns
FROM message m JOIN due d USING (flow, message) LEFT JOIN leg_state s USING (flow, message)
  LEFT JOIN usual u ON u.flow = s.flow AND u.leg = s.leg
WHERE m.sent_ns IS NOT NULL
GROUP BY m.flow, m.message, m.sent_ns, d.due_ns, m.owed, m.told_ok, m.told_fail, m.told_unknown,
  m.last_ns;

-- level: the backlog (sent or born, and not settled) from each moment at which it changed to the next.
CREATE TABLE level AS
WITH change AS (
  SELECT DISTINCT flow, -1 AS at_ns, 0 AS more FROM asked
  UNION ALL SELECT flow, sent_ns, 1 FROM course
  UNION ALL SELECT flow, settled_ns, -1 FROM course WHERE settled_ns IS NOT NULL
), moment AS (SELECT flow, at_ns, sum(more) AS more FROM change GROUP BY ALL)
SELECT flow, at_ns AS from_ns, sum(more) OVER w AS waiting,
  coalesce(lead(at_ns) OVER w, 9223372036854775807) AS to_ns
FROM moment WINDOW w AS (PARTITION BY flow ORDER BY at_ns);

-- norm: the flow's own steady state, of what was due in it: the share that completed; the bound of the
-- backlog; the longest span without a message that became complete, NULL where none did; births.
CREATE TABLE norm AS
WITH offered AS (
  SELECT a.name, count(*) AS offered, count(*) FILTER (m.completed) AS completed
  FROM asked a JOIN course m ON m.flow = a.flow, calm c
  WHERE m.due_ns >= c.from_ns AND m.due_ns < c.to_ns GROUP BY ALL
), highest AS (
  SELECT a.name, max(l.waiting) AS most FROM asked a JOIN level l ON l.flow = a.flow, calm c
  WHERE l.from_ns < c.to_ns AND l.to_ns > c.from_ns GROUP BY ALL
), done AS (
  SELECT a.name, m.settled_ns AS at_ns FROM asked a JOIN course m ON m.flow = a.flow, calm c
  WHERE m.completed AND m.settled_ns >= c.from_ns AND m.settled_ns < c.to_ns
), marks AS (
  FROM done UNION ALL SELECT d.name, unnest([c.from_ns, c.to_ns])
  FROM (SELECT DISTINCT name FROM done) d, calm c
), gaps AS (
  SELECT name, at_ns - lag(at_ns) OVER (PARTITION BY name ORDER BY at_ns) AS ns FROM marks
), quiet AS (SELECT name, max(ns) AS ns FROM gaps GROUP BY ALL
), parents AS (
  SELECT a.name, count(*) AS parents
  FROM asked a JOIN flow f ON f.flow = a.flow JOIN due d ON d.flow = f.derived_from, calm c
  WHERE d.due_ns >= c.from_ns AND d.due_ns < c.to_ns GROUP BY ALL
)
SELECT a.name, coalesce(o.completed / o.offered, 1.0) AS share,
  CASE WHEN o.offered IS NULL THEN 2 ELSE greatest(2, h.most + h.most // 2)
    + o.offered * a.bucket_ns // (c.to_ns - c.from_ns) END AS backlog,
  q.ns AS quiet_ns, coalesce(p.parents, 0) AS parents,
  CASE WHEN f.derived_from = '' THEN 0 ELSE coalesce(o.offered, 0) END AS born
FROM asked a JOIN flow f ON f.flow = a.flow LEFT JOIN calm c ON true
  LEFT JOIN offered o ON o.name = a.name LEFT JOIN highest h ON h.name = a.name
  LEFT JOIN quiet q ON q.name = a.name AND o.offered > 0 LEFT JOIN parents p ON p.name = a.name;

-- bucket: each span from the fault's last heal on that ends before the load does, and what was due or
-- became complete in it.
CREATE TABLE bucket AS
WITH healed AS (
  SELECT a.*, max(e.at_ns) AS heal_ns
  FROM asked a JOIN event e ON e.kind = 'fault' AND e.step = a.fault AND e.reason = 'heal' GROUP BY ALL
), slot AS (
  SELECT h.*, unnest(range(0, greatest(0, ((SELECT load_end_ns FROM run) - h.heal_ns) // h.bucket_ns))) AS i
  FROM healed h
), come AS (
  SELECT h.name, (m.due_ns - h.heal_ns) // h.bucket_ns AS i, count(*) AS offered,
    count(*) FILTER (m.completed) AS completed, count(*) FILTER (m.late) AS late
  FROM healed h JOIN course m ON m.flow = h.flow WHERE m.due_ns >= h.heal_ns GROUP BY ALL
), there AS (
  SELECT h.name, (m.settled_ns - h.heal_ns) // h.bucket_ns AS i, count(*) AS arrived
  FROM healed h JOIN course m ON m.flow = h.flow
  WHERE m.completed AND m.settled_ns >= h.heal_ns GROUP BY ALL
), parents AS (
  SELECT h.name, (d.due_ns - h.heal_ns) // h.bucket_ns AS i, count(*) AS parents
  FROM healed h JOIN flow f ON f.flow = h.flow JOIN due d ON d.flow = f.derived_from
  WHERE d.due_ns >= h.heal_ns GROUP BY ALL
)
SELECT s.name, s.flow, s.hold_ns, s.bucket_ns, s.heal_ns, s.i, s.heal_ns + s.i * s.bucket_ns AS from_ns,
  s.heal_ns + (s.i + 1) * s.bucket_ns AS to_ns, coalesce(c.offered, 0) AS offered,
  coalesce(c.completed, 0) AS completed, coalesce(c.late, 0) AS late,
  coalesce(t.arrived, 0) AS arrived, coalesce(p.parents, 0) AS parents
FROM slot s LEFT JOIN come c ON c.name = s.name AND c.i = s.i
  LEFT JOIN there t ON t.name = s.name AND t.i = s.i
  LEFT JOIN parents p ON p.name = s.name AND p.i = s.i;

-- back: each bucket with those before it, from all sums of which one is chosen: the last 100 that
-- completed, or as many parents as it takes for no birth to be a sign.
CREATE TABLE back AS
SELECT b.name, b.i, x.i AS since, sum(x.completed) OVER w AS completed, sum(x.late) OVER w AS late,
  sum(x.offered) OVER w AS born, sum(x.parents) OVER w AS parents
FROM bucket b JOIN bucket x ON x.name = b.name AND x.i <= b.i
WINDOW w AS (PARTITION BY b.name, b.i ORDER BY x.i DESC);

-- unwell: until when in a bucket the flow was not well, NULL where it was well all along.
CREATE TABLE unwell AS
WITH last_hundred AS (
  SELECT name, i, coalesce(max(since) FILTER (completed >= 100), 0) AS since FROM back GROUP BY ALL
), telling AS (
  SELECT b.name, b.i, coalesce(max(b.since) FILTER (scarce(0, b.parents, n.born, n.parents)), 0) AS since
  FROM back b JOIN norm n ON n.name = b.name GROUP BY ALL
), waiting AS (
  SELECT b.name, b.i, min(l.waiting) AS least,
    max(least(b.to_ns, l.to_ns)) FILTER (l.waiting > n.backlog) AS above_ns
  FROM bucket b JOIN norm n ON n.name = b.name
    JOIN level l ON l.flow = b.flow AND l.from_ns < b.to_ns AND l.to_ns > b.from_ns
  GROUP BY ALL
)
SELECT b.*, CASE WHEN
  b.offered - b.completed > trunc((1 - n.share) * b.offered)
  OR b.offered > 0 AND b.arrived = 0 AND w.least > 0 AND coalesce(n.quiet_ns <= b.bucket_ns // 2, false)
  OR b.late > 0 AND l.late > greatest(1, l.completed // 100)
  OR b.offered < owed(b.parents, n.born, n.parents) AND scarce(t.born, t.parents, n.born, n.parents)
  THEN b.to_ns ELSE w.above_ns END AS until_ns
FROM bucket b JOIN norm n ON n.name = b.name
  JOIN waiting w ON w.name = b.name AND w.i = b.i
  JOIN last_hundred lh ON lh.name = b.name AND lh.i = b.i
  JOIN back l ON l.name = b.name AND l.i = b.i AND l.since = lh.since
  JOIN telling ts ON ts.name = b.name AND ts.i = b.i
  JOIN back t ON t.name = b.name AND t.i = b.i AND t.since = ts.since;

-- recovery: from the heal to the last moment that was not well before the flow was well for the hold
-- time, and for 20 messages or until a fault is injected; before the load ended, where it never was.
CREATE TABLE recovery AS
WITH so_far AS (
  SELECT *, coalesce(max(until_ns) OVER (PARTITION BY name ORDER BY i), heal_ns) AS well_ns FROM unwell
), seen AS (
  SELECT s.name, s.i, coalesce(sum(x.offered), 0) AS messages
  FROM so_far s LEFT JOIN bucket x ON x.name = s.name AND x.i <= s.i AND x.to_ns > s.well_ns
  GROUP BY ALL
), held AS (
  SELECT s.name, s.i, s.heal_ns, s.well_ns, s.to_ns - s.well_ns >= s.hold_ns AND (c.messages >= 20
    OR EXISTS (SELECT 1 FROM event e WHERE e.kind = 'fault' AND e.reason = 'inject'
      AND e.at_ns >= s.to_ns AND e.at_ns < s.to_ns + s.bucket_ns)) AS enough
  FROM so_far s JOIN seen c ON c.name = s.name AND c.i = s.i
), found AS (
  SELECT name, coalesce(min(i) FILTER (enough), max(i)) AS i FROM held GROUP BY ALL
)
SELECT n.name, coalesce(s.well_ns - s.heal_ns, 0) AS recovery_time, n.share AS steady_share,
  n.backlog AS steady_backlog_max
FROM norm n LEFT JOIN found f ON f.name = n.name LEFT JOIN held s ON s.name = f.name AND s.i = f.i;
