"""Counts the rows of a history that filters find, by DuckDB and by pyarrow.

Arguments: the history's file. On stdin stands JSON: a list of [column, operator, value], where the
operator is =, < or >. On stdout goes one [duckdb, pyarrow] of [rows, sum of at_ns] for each.
"""

import json
import operator
import sys

import duckdb
import pyarrow.compute as pc
import pyarrow.dataset as ds

OPERATORS = {"=": operator.eq, "<": operator.lt, ">": operator.gt}


def by_duckdb(path, column, op, value):
    sql = f'SELECT count(*), coalesce(sum(at_ns), 0)::BIGINT FROM read_parquet(?) WHERE "{column}" {op} ?'
    return list(duckdb.execute(sql, [path, value]).fetchone())


def by_pyarrow(dataset, column, op, value):
    found = dataset.to_table(columns=["at_ns"], filter=OPERATORS[op](ds.field(column), value))
    return [found.num_rows, pc.sum(found["at_ns"]).as_py() or 0]


path = sys.argv[1]
dataset = ds.dataset(path)
json.dump([[by_duckdb(path, *f), by_pyarrow(dataset, *f)] for f in json.load(sys.stdin)], sys.stdout)
