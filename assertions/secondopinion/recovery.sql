-- recovery.sql: how long a flow takes to be well again. The table asked has one row for each recovery
-- that the scenario asserts: name, flow, fault, within_ns, hold_ns, bucket_ns. A time is in whole ns.

-- course: a message over all its legs: completed when each was reached or rightly ended; late when one
-- was reached after its p99; settled when nothing more is waited for, NULL for never.
CREATE TABLE course AS
SELECT m.flow, m.message, m.sent_ns,
  coalesce(bool_and(s.arrived OR s.found OR s.filtered), true) AS completed,
  coalesce(bool_or(s.arrived AND s.p99_ns > 0
    AND (s.arrived_ns - s.sent_ns) // 1000 * 1000 > s.p99_ns), false) AS late,
  CASE WHEN coalesce(bool_and(s.arrived OR s.found OR s.dead OR s.expired OR s.filtered), true)
    THEN coalesce(max(coalesce(s.arrived_ns, s.ended_ns, m.sent_ns)), m.sent_ns)
    WHEN NOT m.owed AND (m.told_ok OR m.told_fail OR m.told_unknown) THEN m.last_ns END AS settled_ns
FROM message m LEFT JOIN leg_state s USING (flow, message)
WHERE m.sent_ns IS NOT NULL
GROUP BY m.flow, m.message, m.sent_ns, m.owed, m.told_ok, m.told_fail, m.told_unknown, m.last_ns;

-- bucket: offered, completed and late by intended send time; the backlog at the bucket's end.
CREATE TABLE bucket AS
WITH slot AS (
  SELECT a.name, a.flow, a.bucket_ns, unnest(range(0, (SELECT last_ns FROM run) // a.bucket_ns + 2)) AS i
  FROM asked a
), come AS (
  SELECT a.name, c.sent_ns // a.bucket_ns AS i, count(*) AS offered,
    count(*) FILTER (c.completed) AS completed, count(*) FILTER (c.late) AS late
  FROM asked a JOIN course c ON c.flow = a.flow GROUP BY ALL
), gone AS (
  SELECT a.name, c.settled_ns // a.bucket_ns AS i, count(*) AS settled
  FROM asked a JOIN course c ON c.flow = a.flow WHERE c.settled_ns IS NOT NULL GROUP BY ALL
)
SELECT s.name, s.i, s.i * s.bucket_ns AS from_ns, coalesce(c.offered, 0) AS offered,
  coalesce(c.completed, 0) AS completed, coalesce(c.late, 0) AS late,
  sum(coalesce(c.offered, 0) - coalesce(g.settled, 0)) OVER (PARTITION BY s.name ORDER BY s.i) AS backlog
FROM slot s LEFT JOIN come c ON c.name = s.name AND c.i = s.i
  LEFT JOIN gone g ON g.name = s.name AND g.i = s.i;

-- norm: the flow's own steady state, without the phase's last fifth (one second at most).
CREATE TABLE norm AS
WITH phases AS (SELECT name, at_ns AS from_ns, lead(at_ns) OVER (ORDER BY n) AS to_ns FROM phase),
steady AS (
  SELECT from_ns, to_ns - least(1_000_000_000, (to_ns - from_ns) // 5) AS to_ns FROM phases
  WHERE name = 'steady'
)
SELECT a.name, coalesce(sum(b.completed) / nullif(sum(b.offered), 0), 1.0) AS share,
  greatest(2, max(b.backlog + b.backlog // 2)) + sum(b.offered) // count(*) AS backlog
FROM asked a JOIN bucket b ON b.name = a.name, steady s
WHERE b.i >= s.from_ns // a.bucket_ns AND b.i < s.to_ns // a.bucket_ns GROUP BY ALL;

-- well: none of the three conditions is broken. What is on its way at a bucket's end is no backlog
-- yet, so the lower of this and the next end counts.
CREATE TABLE well AS
SELECT b.name, b.i, b.from_ns, NOT (
  b.offered - b.completed > trunc((1 - n.share) * b.offered)
  OR b.late > greatest(1, b.offered // 100)
  OR least(b.backlog, coalesce(lead(b.backlog) OVER (PARTITION BY b.name ORDER BY b.i), b.backlog))
    > n.backlog) AS well
FROM bucket b JOIN norm n ON n.name = b.name;

-- recovery: from the last heal to the first bucket that begins a hold time of well ones; where the load
-- ends first, to the bucket behind the last one that was not well.
CREATE TABLE recovery AS
WITH healed AS (
  SELECT a.name, a.bucket_ns, max(e.at_ns) AS heal_ns,
    max(e.at_ns) // a.bucket_ns AS first, (SELECT load_end_ns FROM run) // a.bucket_ns - 1 AS last,
    (a.hold_ns + a.bucket_ns - 1) // a.bucket_ns AS hold
  FROM asked a JOIN event e ON e.kind = 'fault' AND e.step = a.fault AND e.reason = 'heal'
  GROUP BY a.name, a.bucket_ns, a.hold_ns
), start AS (
  SELECT h.*, w.i FROM healed h JOIN well w ON w.name = h.name
  WHERE w.i BETWEEN h.first AND greatest(h.first, h.last + 1) AND NOT EXISTS (
    SELECT 1 FROM well x WHERE x.name = h.name AND NOT x.well
      AND x.i BETWEEN w.i AND least(w.i + h.hold - 1, h.last))
)
SELECT s.name, greatest(0, min(s.i) * any_value(s.bucket_ns) - any_value(s.heal_ns)) AS recovery_time,
  any_value(n.share) AS steady_share, any_value(n.backlog) AS steady_backlog_max
FROM start s JOIN norm n ON n.name = s.name GROUP BY s.name;
