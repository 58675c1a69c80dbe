-- messages.sql: what became of each message, from the rows of the history (view event) and the promise
-- (tables flow, leg, hop, declared, dead_way, unseen). A leg is one obligation of a message: a sink, or
-- the reply. "Before" and "after" between rows go by n, the row's place in the file.

-- A row of these reasons says that a step was not tried.
CREATE MACRO tried(reason) AS reason NOT IN ('breaker_open', 'bulkhead', 'rate_limit');
CREATE MACRO far_end(wire) AS split_part(wire, ' -> ', 2);

-- phase: when each one began; the load ends and the drain ends where the next phase begins.
CREATE TABLE phase AS SELECT step AS name, n, at_ns FROM event WHERE kind = 'phase';
CREATE TABLE run AS SELECT
  (SELECT max(at_ns) FROM event) AS last_ns,
  coalesce((SELECT min(at_ns) FROM phase WHERE name = 'drain'),
           (SELECT min(at_ns) FROM phase WHERE name = 'audit'),
           (SELECT max(at_ns) FROM event)) AS load_end_ns,
  coalesce((SELECT min(at_ns) FROM phase WHERE name = 'audit'),
           (SELECT max(at_ns) FROM event)) AS drain_end_ns,
  coalesce((SELECT min(n) FROM phase WHERE name = 'audit'),
           (SELECT max(n) FROM event)) AS audit_n;

-- channel: the declared reference of each channel that a row names ("mqtt/telemetry/:id" of
-- "mqtt/telemetry/7"): itself where it is declared, else the first declared one that fits.
CREATE TABLE channel AS
SELECT c.channel, coalesce(
  (SELECT ref FROM declared WHERE ref = c.channel),
  (SELECT arg_min(ref, place) FROM declared WHERE regexp_full_match(c.channel, pattern)),
  c.channel) AS ref
FROM (SELECT DISTINCT channel FROM event WHERE channel <> '') c;

-- below: the legs that lie behind a node or channel of a flow's paths.
CREATE TABLE below AS
WITH RECURSIVE edge AS (
  SELECT a.flow, a.vertex AS "from", b.vertex AS "to", b.node
  FROM hop a JOIN hop b ON a.flow = b.flow AND a.path = b.path AND b.place = a.place + 1
), reach(flow, vertex, place) AS (
  SELECT DISTINCT flow, vertex, vertex FROM hop
  UNION
  SELECT r.flow, r.vertex, e."to" FROM reach r JOIN edge e ON e.flow = r.flow AND e."from" = r.place
)
SELECT DISTINCT r.flow, r.vertex, l.leg
FROM reach r JOIN leg l ON l.flow = r.flow AND (l.reply OR l.node = r.place);

-- message: sent_ns is the intended send time, or the birth of a derived message; NULL where it never
-- began. last_ns is the last row about it before the audit found it.
CREATE TABLE message AS
WITH row AS (
  SELECT * FROM event WHERE flow <> '' AND message >= 0
), sums AS (
  SELECT flow, message,
    arg_min(at_ns, n) FILTER (kind = 'derive' OR kind = 'produce' AND outcome = '') AS sent_ns,
    bool_or(kind = 'derive') AS derived,
    bool_or(kind = 'produce' AND outcome = 'ok') AS told_ok,
    bool_or(kind = 'produce' AND outcome = 'fail') AS told_fail,
    bool_or(kind = 'produce' AND outcome = 'unknown') AS told_unknown,
    max(at_ns) FILTER (kind <> 'found' AND NOT (kind = 'produce' AND outcome = '')) AS last_ns
  FROM row GROUP BY ALL
), published AS ( -- derived messages whose publish, a row of the parent's, was answered
  SELECT DISTINCT d.flow, d.message
  FROM row d JOIN row p ON p.flow = d.parent_flow AND p.message = d.parent AND p.step = d.step
  WHERE d.kind = 'derive' AND p.kind = 'publish' AND p.outcome = 'ok' AND p.n > d.n
), own AS ( -- messages that their flow's source itself sent on
  SELECT DISTINCT r.flow, r.message FROM row r JOIN flow f ON f.flow = r.flow
  WHERE r.kind IN ('publish', 'call', 'store') AND r.outcome IN ('', 'ok') AND tried(r.reason)
    AND r.node = f.source
), taken AS ( -- messages that the node named by accepted_at has
  SELECT DISTINCT r.flow, r.message FROM row r JOIN flow f ON f.flow = r.flow
  WHERE f.accepted_at <> '' AND (
    r.kind IN ('attempt', 'ack') AND r.outcome = 'ok' AND r.node = f.accepted_at
    OR r.kind IN ('publish', 'call', 'store') AND r.outcome IN ('', 'ok') AND tried(r.reason)
      AND f.accepted_at = CASE WHEN r.channel <> '' THEN split_part(r.channel, '/', 1)
                               ELSE far_end(r.wire) END)
)
SELECT s.*,
  s.sent_ns IS NOT NULL AND CASE
    WHEN f.accepted_at <> '' THEN (s.flow, s.message) IN (FROM taken)
    WHEN s.derived THEN (s.flow, s.message) IN (FROM published) OR (s.flow, s.message) IN (FROM own)
    ELSE s.told_ok END AS owed
FROM sums s JOIN flow f ON f.flow = s.flow;

-- arrival: every row by which a message reaches a leg, by the kind of node that the sink is.
CREATE TABLE arrival AS
SELECT e.n, e.at_ns, e.kind, e.flow, e.message, e.key, e.key_seq, l.leg
FROM event e JOIN leg l ON l.flow = e.flow
WHERE e.message >= 0 AND CASE
  WHEN l.reply THEN e.kind = 'reply' AND e.outcome IN ('', 'ok')
  WHEN l.kind = 'fleet' THEN e.kind = 'receive' AND e.node = l.node
  WHEN l.kind = 'broker' THEN e.kind = 'publish' AND e.outcome IN ('', 'ok') AND tried(e.reason)
    AND split_part(e.channel, '/', 1) = l.node
  WHEN l.kind = 'store' THEN e.kind = 'store' AND e.outcome IN ('', 'ok') AND tried(e.reason)
    AND far_end(e.wire) = l.node
  ELSE e.kind = 'attempt' AND e.outcome = 'ok' AND e.node = l.node END;

-- copies: what the audit found at a sink.
CREATE TABLE copies AS
SELECT e.flow, e.message, l.leg, sum(greatest(1, e.value)) AS copies
FROM event e JOIN leg l ON l.flow = e.flow
WHERE e.kind = 'found' AND e.message >= 0 AND NOT l.reply
  AND l.node = CASE WHEN e.channel = '' THEN e.node ELSE split_part(e.channel, '/', 1) END
GROUP BY ALL;

-- ending: rows that end a leg short of its sink, as the promise lets them; a dead letter that was
-- redriven later does not.
CREATE TABLE ending AS
WITH placed AS (
  SELECT e.n, e.at_ns, e.kind, e.flow, e.message,
    CASE WHEN (e.flow, e.node) IN (SELECT (flow, vertex) FROM hop) THEN e.node ELSE c.ref END AS vertex
  FROM event e LEFT JOIN channel c ON c.channel = e.channel
  WHERE e.message >= 0 AND (e.kind IN ('dead_letter', 'expire')
    OR e.kind = 'filter' AND e.step <> 'dedupe' AND e.reason <> 'duplicate')
    AND (e.kind, e.node, e.handler, CASE WHEN e.kind = 'filter' THEN e.step ELSE '' END) IN (FROM may_end)
), redrive AS (
  SELECT e.n, e.flow, e.message, l.leg
  FROM event e LEFT JOIN channel c ON c.channel = e.channel JOIN leg l ON l.flow = e.flow
  WHERE e.kind = 'redrive' AND ((e.flow, c.ref, l.leg) IN (FROM below)
    OR (e.flow, c.ref) NOT IN (SELECT (flow, vertex) FROM below))
)
SELECT p.n, p.at_ns, p.kind, p.flow, p.message, b.leg
FROM placed p JOIN below b ON b.flow = p.flow AND b.vertex = p.vertex
WHERE p.kind <> 'dead_letter' OR NOT EXISTS (
  SELECT 1 FROM redrive r
  WHERE r.flow = p.flow AND r.message = p.message AND r.leg = b.leg AND r.n > p.n);

-- leg_state: all of it together, for each message and each of its flow's legs.
CREATE TABLE leg_state AS
WITH dead_found AS (
  SELECT DISTINCT e.flow, e.message, b.leg
  FROM event e JOIN channel c ON c.channel = e.channel JOIN dead_way w ON w.channel = c.ref
    JOIN below b ON b.flow = e.flow AND b.vertex = w.node
  WHERE e.kind = 'found' AND e.message >= 0
), first AS (
  SELECT flow, message, leg, min(at_ns) AS at_ns FROM arrival GROUP BY ALL
), ended AS (
  SELECT flow, message, leg, min(at_ns) AS at_ns, bool_or(kind = 'dead_letter') AS dead,
    bool_or(kind = 'expire') AS expired, bool_or(kind = 'filter') AS filtered
  FROM ending GROUP BY ALL
)
SELECT m.flow, m.message, l.leg, l.name, l.reply, l.p99_ns, m.sent_ns,
  a.at_ns AS arrived_ns, a.at_ns IS NOT NULL AS arrived,
  c.copies IS NOT NULL AS found, coalesce(c.copies, 0) AS copies,
  coalesce(e.dead, false) AS dead, coalesce(e.expired, false) AS expired,
  coalesce(e.filtered, false) AS filtered, e.at_ns AS ended_ns,
  d.leg IS NOT NULL AS dead_found
FROM message m JOIN leg l ON l.flow = m.flow
  LEFT JOIN first a ON (a.flow, a.message, a.leg) = (m.flow, m.message, l.leg)
  LEFT JOIN copies c ON (c.flow, c.message, c.leg) = (m.flow, m.message, l.leg)
  LEFT JOIN ended e ON (e.flow, e.message, e.leg) = (m.flow, m.message, l.leg)
  LEFT JOIN dead_found d ON (d.flow, d.message, d.leg) = (m.flow, m.message, l.leg);
