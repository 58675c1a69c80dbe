"""A second opinion on saved runs: recomputes by SQL, in DuckDB, what the verdicts of a run rest on,
and compares.

Usage: secondopinion.py RUN...

Each RUN is the folder of a run that ended. Read are its history (Parquet), plan.json (the promise),
scenario.yaml (what is asserted of recovery) and result.json (what the judge said), and nothing else.
The SQL beside this file says what is recomputed and how; nothing of the judge's code is used.

One line a run goes to stdout, each difference to stderr. Exit code: 0 all is equal; 1 something
differs; 2 a run cannot be read.
"""

import json
import pathlib
import re
import sys

import duckdb
import yaml

HERE = pathlib.Path(__file__).parent
STEPS = ["messages", "delivery", "latency", "order", "dead_letter", "recovery"]

# The judge keeps times in whole microseconds, cut off.
LATENCY_TOLERANCE_NS = 1_000
# The values of a verdict: a result that has another is not of a judge that this script knows.
VALUES = {"valid", "invalid", "unknown", "untested"}
# A share is compared as a number with this much error.
SHARE_TOLERANCE = 1e-9

UNITS_NS = {"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9}


def duration_ns(given):
    """Whole nanoseconds of "1m2.5s"; 0 of None. A plan of the first format has them as numbers."""
    if isinstance(given, int):
        return given
    parts = re.findall(r"([\d.]+)(ns|us|µs|ms|s|m|h)", given or "")
    return round(sum(float(n) * UNITS_NS[unit] for n, unit in parts))


def main(folders):
    if not folders:
        sys.exit(__doc__)
    different = compared = 0
    left = set()
    for folder in map(pathlib.Path, folders):
        try:
            c = opinion(folder)
        except (OSError, ValueError, KeyError, duckdb.Error) as err:
            print(f"second opinion: {folder.name}: {type(err).__name__}: {err}", file=sys.stderr)
            sys.exit(2)
        compared += c.count
        different += bool(c.differences)
        left |= c.left
        print(f"{'DIFFERS' if c.differences else 'equal  '}  {folder.name}  {c.count} figures")
        for d in c.differences:
            print(f"second opinion: {folder.name}: {d}", file=sys.stderr)
    print(f"second opinion: not recomputed: {', '.join(sorted(left)) or 'nothing'}")
    print(f"second opinion: {len(folders)} runs, {compared} figures compared, "
          f"{different} runs differ")
    sys.exit(1 if different else 0)


def opinion(folder):
    """The Comparison of a run."""
    result = json.loads((folder / "result.json").read_text())
    if result["events_shed"]:
        raise ValueError("the recorder shed events: nothing can be recomputed")
    db = duckdb.connect(config={"threads": 1})
    load_history(db, folder / "history" / "history.parquet")
    load_promise(db, json.loads((folder / "plan.json").read_text())["promise"])
    load_asked(db, yaml.safe_load((folder / "scenario.yaml").read_text()))
    for step in STEPS:
        db.execute((HERE / f"{step}.sql").read_text())
    return compare(db, result)


def load_history(db, path):
    """The view event: the rows of the history with their place in it. Filters reach the file."""
    path = str(path).replace("'", "''")
    db.execute(f"CREATE VIEW event AS SELECT file_row_number AS n, * EXCLUDE (file_row_number) "
               f"FROM read_parquet('{path}', file_row_number = true)")
    db.execute("CREATE TABLE unseen AS SELECT DISTINCT node FROM event "
               "WHERE kind = 'node' AND reason = 'code'")


def load_promise(db, promise):
    """The topology of plan.json as tables."""
    nodes = {n["Name"]: n for n in promise["Nodes"]}
    kind = lambda name: nodes.get(name, {}).get("Kind", "")
    flows, legs, hops = [], [], []
    for f in promise["Flows"]:
        paths = f["Paths"] or []
        source = paths[0][0]["Node"] if paths else ""
        flows.append((f["Name"], source, f["AcceptedAt"], f["Guarantee"], f["DerivedFrom"]))
        sinks = [(s["Node"], s["Node"], False, kind(s["Node"]), duration_ns(s["P99"]))
                 for s in f["Sinks"] or []]
        if within := duration_ns(f["ReplyWithin"]):
            sinks.append((source, "reply", True, kind(source), within))
        legs += [(f["Name"], i, *sink) for i, sink in enumerate(sinks)]
        hops += [(f["Name"], p, i, h["Channel"] or h["Node"], h["Node"], h["Channel"])
                 for p, path in enumerate(paths) for i, h in enumerate(path)]
    table(db, "flow(flow VARCHAR, source VARCHAR, accepted_at VARCHAR, guarantee VARCHAR, "
              "derived_from VARCHAR)", flows)
    table(db, "leg(flow VARCHAR, leg INT, node VARCHAR, name VARCHAR, reply BOOL, kind VARCHAR, "
              "p99_ns BIGINT)", legs)
    table(db, "hop(flow VARCHAR, path INT, place INT, vertex VARCHAR, node VARCHAR, "
              "channel VARCHAR)", hops)
    table(db, "declared(ref VARCHAR, place INT, pattern VARCHAR)",
          [(c["Ref"], i, pattern(c["Ref"])) for i, c in enumerate(promise["Channels"])])
    table(db, "dead_way(node VARCHAR, handler VARCHAR, source VARCHAR, channel VARCHAR, most INT, "
              "native BOOL, readable BOOL, permanent VARCHAR[])", dead_ways(promise, nodes))
    table(db, "may_end(kind VARCHAR, node VARCHAR, handler VARCHAR, step VARCHAR)",
          endings(promise, dead_ways(promise, nodes)))


def table(db, columns, rows):
    name = columns.split("(")[0]
    db.execute(f"CREATE TABLE {columns}")
    if rows:
        row = f"({', '.join('?' * len(rows[0]))})"
        db.execute(f"INSERT INTO {name} VALUES {', '.join([row] * len(rows))}",
                   [value for values in rows for value in values])


def pattern(ref):
    """A regular expression of the channels that a declared one stands for: ":id" is any segment."""
    return "/".join("[^/]*" if part.startswith(":") else re.escape(part) for part in ref.split("/"))


def dead_ways(promise, nodes):
    """The handlers that dead-letter, by their own policy or their channel's."""
    channels = {c["Ref"]: c for c in promise["Channels"]}
    ways = []
    for node in promise["Nodes"]:
        for handler in node["Handlers"] or []:
            source = (handler["Batch"] or {}).get("Channel") or handler["Subscribe"]
            policy = handler["Policy"]
            dead = policy["DeadLetter"] or channels.get(source, {}).get("DeadLetter")
            if not source or not dead:
                continue
            broker = source.split("/")[0]
            channel = dead["Channel"] or source + ".dead"
            if "/" not in channel:
                channel = f"{broker}/{channel}"
            attempts = dead["Attempts"] or (policy["Retry"] or {}).get("Attempts", 0)
            # MQTT keeps nothing that an audit could read back.
            readable = nodes[channel.split("/")[0]]["Protocol"] != "mqtt"
            ways.append((node["Name"], handler["Name"], source, channel, max(1, attempts),
                         dead.get("Native", False), readable, permanent(policy, handler["Do"])))
    return ways


def endings(promise, ways):
    """The rows by which a message may end short of its sink."""
    ttl = {c["Ref"]: duration_ns(c.get("TTL") or 0) for c in promise["Channels"]}
    ends = [("dead_letter", way[0], handler, "") for way in ways for handler in (way[1], "")]
    for node in promise["Nodes"]:
        for handler in node["Handlers"] or []:
            at = (node["Name"], handler["Name"])
            source = (handler["Batch"] or {}).get("Channel") or handler["Subscribe"]
            if duration_ns(handler["Policy"].get("TTL") or 0) or ttl.get(source):
                ends.append(("expire", *at, ""))
            ends += [("filter", *at, name) for name in conditions(handler["Do"])]
    return ends


def conditions(steps):
    """The conditions that drop a message which does not meet them."""
    for step in steps or []:
        if step.get("Kind") == "when" and step.get("Else") == "filter":
            yield step["Name"]
        yield from conditions(step["Do"])


def permanent(policy, steps):
    """The reasons that a handler or any of its steps declares permanent."""
    reasons = list((policy["Retry"] or {}).get("Permanent") or [])
    for step in steps or []:
        reasons += permanent(step["Policy"], step["Do"])
    return reasons


def load_asked(db, scenario):
    """The table asked: what a scenario asserts of recovery."""
    rows = []
    for assertion in scenario.get("assert") or []:
        if isinstance(assertion, dict) and (r := assertion.get("recovery")):
            rows.append((assertion.get("name") or f"recovery[{r['flow']}]", r["flow"], r["from"],
                         duration_ns(r.get("hold", "2s")), duration_ns(r.get("bucket", "500ms"))))
    table(db, "asked(name VARCHAR, flow VARCHAR, fault VARCHAR, hold_ns BIGINT, bucket_ns BIGINT)",
          rows)


class Comparison:
    """Figures held against each other, by name."""

    def __init__(self):
        self.count = 0
        self.differences = []
        self.left = set()  # figures, and properties of verdicts, that no SQL computes

    def hold(self, what, said, computed, tolerance=0):
        self.count += 1
        if computed is None or abs(said - computed) > tolerance:
            self.differences.append(f"{what}: the judge says {said}, SQL says {computed}")

    def hold_messages(self, what, said, more, computed):
        """The judge shows some of the messages, and how many more there may be."""
        self.count += 1
        if not said <= computed or len(computed) > len(said) + more:
            self.differences.append(f"{what}: the judge says {sorted(said)} and {more} more, "
                                    f"SQL says {sorted(computed)}")


def compare(db, result):
    c = Comparison()
    compare_flows(c, db, result["flows"])
    for verdict in result["verdicts"]:
        if verdict["value"] not in VALUES:
            raise ValueError(f"{verdict['name']} has a value of its own: {verdict['value']}")
        by_property = {"delivery": compare_delivery, "order": compare_order,
                       "dead_letter": compare_dead_letter, "recovery": compare_recovery}
        if check := by_property.get(verdict["property"]):
            check(c, db, verdict)
        else:
            c.left.add(verdict["property"])
    return c


def compare_flows(c, db, flows):
    sent = rows(db, "SELECT flow AS key, * FROM sent")
    latency = rows(db, "SELECT (flow, name) AS key, * FROM latency")
    for flow in flows:
        for said, computed in [("sent", "sent"), ("accepted", "accepted")]:
            c.hold(f"{flow['name']} {said}", flow[said], sent[flow["name"]][computed])
        for sink in flow.get("sinks") or []:
            mine = latency[flow["name"], sink["node"]]
            c.hold(f"{flow['name']} to {sink['node']} arrived", sink["arrived"], mine["arrived"])
            for q in ["p50_ns", "p99_ns", "max_ns"]:
                c.hold(f"{flow['name']} to {sink['node']} {q}", sink[q], mine[q],
                       LATENCY_TOLERANCE_NS)


def compare_delivery(c, db, verdict):
    compare_figures(c, verdict, rows(db, "SELECT flow AS key, * FROM delivery"), verdict["flow"])
    compare_anomalies(c, db, verdict, "lost",
                      "SELECT flow, message FROM outcome WHERE ending = 5 AND flow = $of",
                      verdict["flow"])


def compare_order(c, db, verdict):
    compare_figures(c, verdict, rows(db, 'SELECT flow AS key, * FROM "order"'), verdict["flow"])
    compare_anomalies(c, db, verdict, "reordered",
                      "SELECT flow, message FROM lane WHERE ordered AND key_seq < before AND flow = $of",
                      verdict["flow"])


def compare_dead_letter(c, db, verdict):
    """The verdict's name shortens its channel, as users do."""
    named = re.fullmatch(r"dead_letter\[(.*)\]", verdict["name"])
    figures = rows(db, "SELECT channel AS key, * FROM dead_letter")
    channels = [k for k in figures if named and ("." + k).endswith("." + named[1])]
    if len(channels) == 1:
        compare_figures(c, verdict, figures, channels[0])
        compare_anomalies(c, db, verdict, "missing", "SELECT flow, message FROM dead "
                          "WHERE owed AND NOT found AND channel = $of", channels[0])
        compare_anomalies(c, db, verdict, "undue", "SELECT flow, message FROM dead WHERE found "
                          "AND NOT owed AND NOT redriven AND channel = $of", channels[0])


def compare_recovery(c, db, verdict):
    mine = rows(db, "SELECT name AS key, * FROM recovery")
    if "recovery_time" in figures_of(verdict):
        compare_figures(c, verdict, mine, verdict["name"])


def figures_of(verdict):
    return {f["name"]: f["value"] for f in verdict.get("figures") or []}


def compare_figures(c, verdict, computed, key):
    """Every figure that both have; all of them where SQL has none."""
    mine = computed.get(key, {})
    for name, said in figures_of(verdict).items():
        if name in mine or not mine:
            c.hold(f"{verdict['name']} {name}", said, mine.get(name),
                   SHARE_TOLERANCE if name.endswith("share") else 0)
        else:
            c.left.add(f"{verdict['property']} {name}")


def compare_anomalies(c, db, verdict, kind, sql, of):
    """The messages of one kind of anomaly; those beyond the ones that are shown are of any kind."""
    said = {(a["flow"], a["message"]) for a in verdict.get("anomalies") or [] if a["kind"] == kind}
    computed = set(db.execute(sql, {"of": of}).fetchall())
    c.hold_messages(f"{verdict['name']} {kind}", said, verdict.get("more", 0), computed)


def rows(db, sql):
    """The rows of a query as dictionaries, by their column key."""
    cursor = db.execute(sql)
    names = [d[0] for d in cursor.description]
    all = [dict(zip(names, row)) for row in cursor.fetchall()]
    return {tuple(r["key"].values()) if isinstance(r["key"], dict) else r["key"]: r for r in all}


if __name__ == "__main__":
    main(sys.argv[1:])
